"""A model that is a folder: what is taken of it, how it appears, and what is refused."""

import hashlib
import os
import shutil
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.server.fetch.conftest import COMPANION_FILES, Bring, Web, contents, files_sha256
from tidegate_server.errors import FetchFailed
from tidegate_server.fetch import install
from tidegate_server.fetch.select_files import files_digest
from tidegate_server.fetch.sources import find_source
from tidegate_server.settings import Settings


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_folder_comes_with_its_weights_and_what_the_server_reads(bring: Bring, whole: Path) -> None:
    files = contents(whole)
    (whole / "README.md").write_text("not the server's")
    (whole / "lost+found").mkdir()
    ended = bring(whole.as_uri())
    assert (ended.reason, ended.shown) == ("brought", files)
    assert ended.report == {
        "sha256": sha256(whole / "model.onnx"),
        "bytes": sum(map(len, files.values())),
        "inputs": [{"name": "pixels", "datatype": "FP32", "shape": [400]}],
        "outputs": [{"name": "sum", "datatype": "FP32", "shape": [400]}],
        "files_sha256": files_sha256(files),
        "labels": {"count": 2, "sha256": hashlib.sha256(b"no\0yes\0").hexdigest(), "first": ["no", "yes"]},
    }
    assert ended.left == sorted([*files, ".model.onnx.files.json"])


def test_the_only_graph_of_a_folder_becomes_the_model(bring: Bring, linear: Path, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    shutil.copy(linear, tmp_path / "one" / "digits.onnx")
    ended = bring((tmp_path / "one").as_uri())
    assert (ended.reason, ended.shown) == ("brought", {"model.onnx": linear.read_bytes()})
    # It is told all the same: pinned, it says that nothing may come along later.
    assert ended.report["files_sha256"] == files_sha256({"model.onnx": linear.read_bytes()})
    assert "files_sha256" not in bring((tmp_path / "one" / "digits.onnx").as_uri()).report


def test_a_folder_on_a_web_server_is_found_out_by_asking(bring: Bring, whole: Path, web: Web) -> None:
    files = contents(whole)
    del files["selftest.json"]
    web.files = {f"/m/{name}": content for name, content in files.items()}
    ended = bring(web.uri("/m/?sig=secret"))
    assert (ended.reason, ended.shown) == ("brought", files)
    assert all(request.path.endswith("?sig=secret") for request in web.requests)
    assert "secret" not in ended.log


def test_everybody_can_compute_the_digest_of_all_files(whole: Path) -> None:
    command = "sha256sum * | LC_ALL=C sort | sha256sum"
    said = subprocess.run(["sh", "-c", command], cwd=whole, capture_output=True, text=True, check=True).stdout
    assert said.split()[0] == files_digest({name: sha256(whole / name) for name in contents(whole)})


@pytest.mark.parametrize("moves", range(6))
def test_a_crash_while_files_are_moved_leaves_no_mixture(
    bring: Bring, whole: Path, linear: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    """Of five files, and of the next model's one: after any number of moves there's a whole model, or none."""
    before = tmp_path / "before"
    before.mkdir()
    shutil.copy(linear, before / "model.onnx")
    (before / "labels.json").write_text('["of the model before"]')
    bring(before.as_uri())
    move, done = install._move, iter(range(moves))

    def crash(place: Path, target: Path) -> None:
        if next(done, None) is None:
            raise KeyboardInterrupt
        move(place, target)

    monkeypatch.setattr(install, "_move", crash)
    with pytest.raises(KeyboardInterrupt) if moves < 5 else nullcontext():
        bring(whole.as_uri())
    monkeypatch.undo()
    assert ((tmp_path / "models" / "model.onnx").exists()) == (moves == 5)
    pin = {"TIDEGATE_MODEL_SHA256": sha256(whole / "model.onnx")}
    assert bring(whole.as_uri(), **pin).shown == contents(whole)


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({"TIDEGATE_MODEL_URI": "image:///models/7"}, "/models/7/model.onnx"),
        ({"TIDEGATE_MODEL_URI": "image:///models/7/digits.onnx"}, "/models/7/digits.onnx"),
        ({"TIDEGATE_MODEL_URI": "image:///m", "TIDEGATE_MODEL_PATH": "/n.onnx"}, "/n.onnx"),
        ({"TIDEGATE_MODEL_URI": "s3://models/7"}, "/models/model.onnx"),
    ],
)
def test_the_server_knows_where_the_image_has_its_model(environment: dict[str, str], path: str) -> None:
    assert Settings.from_env(environment).model_path == Path(path)


def test_a_claim_is_read_where_it_is_mounted(bring: Bring, whole: Path) -> None:
    ended = bring("pvc://models/whole", TIDEGATE_PVC_MOUNT=str(whole.parent))
    assert (ended.reason, ended.shown) == ("brought", contents(whole))


def test_a_model_in_the_image_stays_where_it_is(bring: Bring, whole: Path) -> None:
    ended = bring(f"image://{whole}", TIDEGATE_MODEL_PATH="")
    assert (ended.reason, ended.left) == ("brought", [])
    assert ended.report["files_sha256"] == files_sha256(contents(whole))
    another = bring(f"image://{whole}", TIDEGATE_MODEL_PATH="", TIDEGATE_MODEL_SHA256="0" * 64)
    assert another.reason == "WrongDigest"


def test_a_model_in_the_image_and_another_place_for_it_contradict(bring: Bring, whole: Path) -> None:
    ended = bring(f"image://{whole}")
    assert (ended.reason, "set only one" in ended.report["message"]) == ("UnsupportedUri", True)


def test_a_restarted_container_finds_the_folder_there(bring: Bring, whole: Path) -> None:
    pins = {
        "TIDEGATE_MODEL_SHA256": sha256(whole / "model.onnx"),
        "TIDEGATE_MODEL_FILES_SHA256": files_sha256(contents(whole)),
    }
    first = bring(whole.as_uri(), **pins)
    shutil.rmtree(whole)
    again = bring(whole.as_uri(), **pins)
    assert (again.report, "is there already" in again.log) == (first.report, True)


def test_a_changed_file_beside_the_model_is_fetched_again(bring: Bring, whole: Path) -> None:
    pin = {"TIDEGATE_MODEL_SHA256": sha256(whole / "model.onnx")}
    ended = bring(whole.as_uri(), **pin)
    (ended.folder / "labels.json").write_text("[]")
    again = bring(whole.as_uri(), **pin)
    assert (again.shown, "is there already" in again.log) == (contents(whole), False)


def test_files_beside_the_model_have_to_be_the_pinned_ones(bring: Bring, whole: Path) -> None:
    pin = files_sha256(contents(whole))
    (whole / "labels.json").write_text('["yes", "no"]')
    ended = bring(whole.as_uri(), TIDEGATE_MODEL_FILES_SHA256=pin)
    assert (ended.reason, ended.left) == ("WrongDigest", [])
    assert "TIDEGATE_MODEL_FILES_SHA256" in ended.report["message"]


def test_the_next_model_leaves_nothing_of_the_one_before(bring: Bring, whole: Path, linear: Path) -> None:
    bring(whole.as_uri())
    ended = bring(linear.as_uri())
    assert ended.left == ["model.onnx"]


def test_a_failed_fetch_leaves_the_model_before_it_whole(bring: Bring, whole: Path) -> None:
    before = bring(whole.as_uri()).shown
    (whole / "weights.bin").unlink()
    ended = bring(whole.as_uri())
    assert (ended.reason, ended.shown) == ("UnsupportedModel", before)
    assert "'weights.bin', which isn't in its folder" in ended.report["message"]


def test_two_graphs_are_one_too_many(bring: Bring, linear: Path, tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    for name in ("a.onnx", "b.onnx"):
        shutil.copy(linear, tmp_path / "two" / name)
    ended = bring((tmp_path / "two").as_uri())
    assert (ended.reason, "2 .onnx files" in ended.report["message"]) == ("UnsupportedModel", True)


def test_all_files_together_have_to_be_within_the_limit(bring: Bring, whole: Path) -> None:
    total = sum(map(len, contents(whole).values()))
    ended = bring(whole.as_uri(), TIDEGATE_MAX_MODEL_BYTES=str(total - 1))
    assert (ended.reason, ended.left) == ("TooLarge", [])
    assert bring(whole.as_uri(), TIDEGATE_MAX_MODEL_BYTES=str(total)).reason == "brought"


@pytest.mark.parametrize("swapped", ["m", "m/labels.json"], ids=["folder", "file"])
def test_a_link_put_on_the_way_after_the_look_is_not_followed(whole: Path, swapped: str) -> None:
    mount = whole.parent / "mount"
    shutil.copytree(whole, mount / "m")
    listing = find_source("pvc://claim/m").source("pvc://claim/m", {"TIDEGATE_PVC_MOUNT": str(mount)})
    label = next(file for file in listing.files if file.name == "labels.json")
    (mount / swapped).rename(mount / "away")
    (mount / swapped).symlink_to(whole / swapped.removeprefix("m").strip("/"))
    with pytest.raises(FetchFailed, match="can't open"), label.open(0, None):
        pass


def test_links_within_the_folder_bring_the_files_that_they_lead_to(bring: Bring, whole: Path) -> None:
    (whole / "..2026").mkdir()
    (whole / "..data").symlink_to("..2026")
    for name in ("labels.json", "weights.bin"):
        (whole / name).rename(whole / "..2026" / name)
        (whole / name).symlink_to(f"..data/{name}")
    content = {name: (whole / name).read_bytes() for name in ("labels.json", "weights.bin")}
    ended = bring(whole.as_uri())
    assert ended.reason == "brought"
    assert {name: ended.shown[name] for name in content} == content


@pytest.mark.parametrize("kind", ["symbolic link", "link to a folder", "hard link", "pipe"])
def test_what_is_no_plain_file_is_refused(bring: Bring, whole: Path, kind: str) -> None:
    label = whole / "labels.json"
    label.unlink()
    match kind:
        case "symbolic link":
            label.symlink_to("/etc/hostname")
        case "link to a folder":
            (whole / "more").symlink_to(whole.parent)
        case "hard link":
            label.hardlink_to(whole / "tokenizer.json")
        case _:
            os.mkfifo(label)
    ended = bring(whole.as_uri())
    assert (ended.reason, ended.report["permanent"], ended.left) == ("UnsafeContent", True, [])
    assert ended.report["message"].startswith("the folder holds '")


@pytest.mark.parametrize(
    ("uri", "reason", "words"),
    [
        pytest.param("pvc://claim/../secret", "UnsafeContent", "'..'", id="out of the claim"),
        pytest.param("pvc://claim/%2e%2e/secret", "UnsafeContent", "'..'", id="out of the claim, escaped"),
        pytest.param("pvc://claim/link", "UnsafeContent", "symbolic link", id="through a link"),
        pytest.param("pvc://claim/none", "NotFound", "No such file", id="no such file"),
        pytest.param("pvc:///model", "UnsupportedUri", "names no claim", id="no claim"),
        pytest.param("image:///no/such", "NotFound", "the image has no /no/such/model.onnx", id="not in the image"),
        pytest.param(f"image:///{'x' * 300}", "UnsupportedUri", "File name too long", id="what can't be looked at"),
    ],
)
def test_a_path_leads_nowhere_else(bring: Bring, tmp_path: Path, uri: str, reason: str, words: str) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    (mount / "link").symlink_to("/etc")
    model_path = {"TIDEGATE_MODEL_PATH": ""} if uri.startswith("image") else {}
    ended = bring(uri, TIDEGATE_PVC_MOUNT=str(mount), **model_path)
    assert ended.reason == reason
    assert words in ended.report["message"]


def test_more_files_than_a_model_has_are_refused(bring: Bring, whole: Path) -> None:
    for number in range(1001 - len(COMPANION_FILES)):
        (whole / f"{number}.txt").touch()
    ended = bring(whole.as_uri())
    assert (ended.reason, "more than 1000 files" in ended.report["message"]) == ("UnsafeContent", True)
