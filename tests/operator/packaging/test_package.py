"""`tidegate package`: one image of a model and its server, the same for the same input, and what is refused."""

import json
import shutil
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.operator.packaging.images import EXAMPLES, opened, told, write_base
from tests.operator.verification.conftest import Verify, verify
from tidegate.cli.package.command import main
from tidegate.oci.layout import Layout

__all__ = ["verify"]
HADOLINT = Path(sys.executable).with_name("hadolint")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model with labels, a file that is nobody's business, and a link."""
    folder = tmp_path / "model"
    folder.mkdir()
    shutil.copy(EXAMPLES / "stable.onnx", tmp_path / "kept-elsewhere")
    (folder / "model.onnx").symlink_to(tmp_path / "kept-elsewhere")
    (folder / "labels.json").write_text(json.dumps([str(digit) for digit in range(10)]))
    (folder / ".git").mkdir()
    (folder / ".git" / "secret").write_text("stays here")
    return folder


def package(model: Path, base: Path | str, *arguments: str, epoch: str = "0") -> int:
    command = [str(model), "-t", "registry.example/shop/digits:7", "--base", f"oci:{base}", *arguments]
    return main([*command, "--output-format", "json"], {"SOURCE_DATE_EPOCH": epoch})


@pytest.fixture
def archive(model: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    target = tmp_path / "image.tar"
    code = package(model, base, "--output", str(target))
    assert code == 0, capsys.readouterr().err
    capsys.readouterr()  # what it said isn't the test's
    return target


def test_the_image_is_the_base_with_the_model_on_top(archive: Path, base: Path, tmp_path: Path) -> None:
    image, layout = opened(archive, tmp_path / "opened")
    below = Layout(base).image(image.config["architecture"])
    assert image.manifest["layers"][:-1] == below.manifest["layers"]
    assert layout.wrong_blobs(image) == []
    with tarfile.open(layout.blob(image.blobs[-1])) as layer:
        members = {each.name: (each.uid, each.gid, each.mode, each.mtime) for each in layer}
    file, folder = (0, 0, 0o644, 0), (0, 0, 0o755, 0)
    names = ("labels.json", "model.onnx", "selftest.json")
    assert members == {
        "models": folder,
        "models/digits": folder,
        **{f"models/digits/{name}": file for name in names},
    }


def test_user_variables_and_labels_are_set_and_those_of_the_base_stay(archive: Path, tmp_path: Path) -> None:
    image, _ = opened(archive, tmp_path / "opened")
    assert image.settings["User"] == "10001:10001"
    assert image.settings["Entrypoint"] == ["tidegate-server"]
    assert image.environment == {
        "PATH": "/bin",
        "LANG": "C",
        "TIDEGATE_MODEL_NAME": "digits",
        "TIDEGATE_MODEL_PATH": "/models/digits",
    }
    kept = {name: value for name, value in image.labels.items() if "digest" not in name and "sha256" not in name}
    assert kept == {
        "of": "the base",
        "org.opencontainers.image.title": "digits",
        "org.opencontainers.image.version": "7",
    }
    assert len(image.config["rootfs"]["diff_ids"]) == 2


def test_the_same_input_has_the_same_digest_and_another_time_another(
    model: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digests = []
    for number, epoch in enumerate(("0", "0", "1700000000")):
        (model / "model.onnx").touch()
        target = tmp_path / f"{number}.tar"
        assert package(model, base, "--output", str(target), epoch=epoch) == 0
        digests.append((told(capsys.readouterr().out)["digest"], target.read_bytes()))
    assert digests[0] == digests[1]
    assert digests[0][0] != digests[2][0]


def test_what_was_made_passes_its_own_checks(archive: Path, verify: Verify) -> None:
    seen = verify("", "--image", f"oci:{archive}", "--label", "org.opencontainers.image.version=7", "--strict")
    assert (seen.code, set(seen.states.values())) == (0, {"ok"}), seen.said


@pytest.mark.parametrize(
    ("arguments", "check", "said"),
    [
        (("--digest", f"sha256:{'0' * 64}"), "image digest", "not sha256:0000"),
        (
            ("--label", "org.opencontainers.image.version=8"),
            "label org.opencontainers.image.version",
            "it is '7', not '8'",
        ),
        (("--label", "team"), "label team", "it is None"),
    ],
)
def test_an_image_that_is_another_fails(
    archive: Path, verify: Verify, arguments: tuple[str, ...], check: str, said: str
) -> None:
    seen = verify("", "--image", f"oci:{archive}", *arguments)
    assert (seen.code, seen.states[check], said in seen.said[check]) == (1, "failed", True), seen.said[check]


def test_a_base_that_runs_as_root_is_seen(base: Path, verify: Verify) -> None:
    seen = verify("", "--image", f"oci:{base}")
    assert (seen.code, seen.states["image user"]) == (1, "failed")


def test_hadolint_finds_nothing_in_the_dockerfile(model: Path, base: Path, tmp_path: Path) -> None:
    context = tmp_path / "context"
    labels = ("--label", 'said=with "quotes" and a $')
    assert package(model, base, "--context", str(context), *labels) == 0
    assert sorted(path.name for path in context.rglob("*") if path.is_file()) == [
        "Dockerfile",
        "labels.json",
        "model.onnx",
        "selftest.json",
    ]
    found = subprocess.run([str(HADOLINT), str(context / "Dockerfile")], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")


def test_a_model_that_fails_its_self_test_is_not_packaged(
    model: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = {"inputs": {"pixels": [[0.0] * 64]}, "outputs": {"label": [99]}}
    (model / "selftest.json").write_text(json.dumps({"cases": [case]}))
    target = tmp_path / "image.tar"
    assert (package(model, base, "--output", str(target)), target.exists()) == (1, False)
    assert "expected 99" in capsys.readouterr().err


def test_a_profile_of_another_model_is_not_packaged(
    model: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    feature = {"input": "pixels", "column": 64, "edges": [0, 1], "counts": [9]}
    (model / "training-profile.json").write_text(json.dumps({"features": [feature]}))
    target = tmp_path / "image.tar"
    assert (package(model, base, "--output", str(target)), target.exists()) == (1, False)
    said = 'training-profile.json: feature 1: column must be a whole number from 0 to 63, or "mean"'
    assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--context", "new"), 1, "has no .onnx file"),
        (("--context", "new", "--name", "Digits!"), 2, "'Digits!' is no name of a model"),
        ((), 2, "nothing is asked for"),
        (("--context", "new", "--label", "x"), 2, "it has to be NAME=VALUE"),
        (("--context", "new", "--label", "x=1\nUSER root"), 2, "on one line"),
    ],
)
def test_what_can_not_be_packaged_is_one_sentence(
    tmp_path: Path,
    base: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert package(empty, base, *arguments) == code
    assert said in capsys.readouterr().err


def test_a_registry_that_is_not_in_reach_is_one_sentence_at_once(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and doesn't listen
        host = f"127.0.0.1:{nobody.getsockname()[1]}"
        command = [str(model), "-t", "shop/digits:7", "--output", str(tmp_path / "image.tar")]
        assert main([*command, "--base", f"{host}/server:1"], {}) == 1
    assert capsys.readouterr().err == (
        f"tidegate package: {host}/server:1: the registry {host} isn't in reach: Connection refused; "
        "is the name right, and is there a network?\n"
    )


def test_a_base_with_a_broken_layer_is_refused(
    model: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(base, broken)
    layout = Layout(broken)
    image = layout.image(json.loads(_config(layout))["architecture"])
    layout.blob(image.blobs[-1]).write_bytes(b"another")
    assert package(model, broken, "--output", str(tmp_path / "image.tar")) == 1
    assert "another content under that name; export it again" in capsys.readouterr().err


def test_an_image_of_which_a_layer_is_not_there_fails_its_checks(base: Path, tmp_path: Path, verify: Verify) -> None:
    half = tmp_path / "half"
    shutil.copytree(base, half)
    layout = Layout(half)
    image = layout.image(json.loads(_config(layout))["architecture"])
    layout.blob(image.blobs[-1]).unlink()

    seen = verify("", "--image", f"oci:{half}")
    said = f"{image.blobs[-1]} is missing or broken"
    assert (seen.code, seen.states["image content"], seen.said["image content"]) == (1, "failed", said)


def _config(layout: Layout) -> str:
    index = json.loads((layout.folder / "index.json").read_text())
    manifest = layout.read(index["manifests"][0]["digest"])
    return layout.blob(manifest["config"]["digest"]).read_text()
