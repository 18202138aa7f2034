"""A real image of the server with a model in it, by a real registry, unpacked and served from as a node does."""

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import answers, free_port, running
from tests.operator.packaging.images import EXAMPLES, opened, told, write_base
from tests.operator.verification.conftest import Verify, verify
from tests.server.fetch.conftest import store_program
from tests.server.fetch.oci_registry import Registry, a_registry
from tidegate.cli.package.command import main
from tidegate.oci.image import CONFIG, MANIFEST, digest_of, encoded
from tidegate.oci.layout import Layout

__all__ = ["store_program", "verify"]
PLAIN_LAYER = "application/vnd.oci.image.layer.v1.tar"


@pytest.fixture
def registry(store_program: Callable[[str], Path], tmp_path: Path) -> Iterator[Registry]:
    with a_registry(store_program("registry"), tmp_path) as found:
        yield found


@pytest.mark.sources
def test_an_image_is_pushed_checked_and_put_on_by_its_digest(
    registry: Registry, tmp_path: Path, verify: Verify, capsys: pytest.CaptureFixture[str]
) -> None:
    base, name = write_base(tmp_path), f"{registry.host}/shop/digits"
    command = [str(EXAMPLES / "stable.onnx"), "-t", f"{name}:7", "--base", f"oci:{base}", "--push"]
    assert main([*command, "--output-format", "json"], {}) == 0, capsys.readouterr().err
    pushed = told(capsys.readouterr().out)
    seen = verify("", "--image", pushed["pushed"], "--strict")
    assert (seen.code, set(seen.states.values())) == (0, {"ok"}), seen.said

    archive = tmp_path / "again.tar"
    again = [str(EXAMPLES / "better.onnx"), "-t", f"{name}:8", "--base", pushed["pushed"], "--output", str(archive)]
    assert main(again, {}) == 0, capsys.readouterr().err
    image, layout = opened(archive, tmp_path / "opened")
    assert image.labels["org.opencontainers.image.base.digest"] == pushed["digest"]
    assert (len(image.manifest["layers"]), layout.wrong_blobs(image)) == (3, [])


@pytest.mark.images
def test_the_server_serves_from_the_unpacked_image(
    tmp_path: Path, verify: Verify, capsys: pytest.CaptureFixture[str]
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may change its root")
    base, archive = layout_of(server_archive(), tmp_path / "base"), tmp_path / "image.tar"
    command = [str(EXAMPLES / "stable.onnx"), "-t", "shop/digits:7", "--base", f"oci:{base}", "--output", str(archive)]
    assert main(command, {}) == 0, capsys.readouterr().err
    capsys.readouterr()  # what it said isn't the check's
    image, layout = opened(archive, tmp_path / "opened")
    root = tmp_path / "root"
    unpack(layout, [each["digest"] for each in image.manifest["layers"]], root)
    ports = {name: str(free_port()) for name in ("TIDEGATE_PORT", "TIDEGATE_GRPC_PORT", "TIDEGATE_ADMIN_PORT")}
    variables = [
        f"{name}={value}" for name, value in {**image.environment, **ports, "TIDEGATE_HOST": "127.0.0.1"}.items()
    ]
    started = [*image.settings["Entrypoint"], *image.settings["Cmd"]]
    inside = ["chroot", f"--userspec={image.settings['User']}", str(root), "/usr/bin/env", "-i", *variables, *started]
    script = 'mount -t proc proc "$0/proc" && exec "$@"'
    with running(tmp_path, ["unshare", "--mount", "sh", "-c", script, str(root), *inside]) as process:
        url = f"http://127.0.0.1:{ports['TIDEGATE_PORT']}"
        answers(f"{url}/v2/health/ready", process)
        seen = verify(url, "--grpc", f"127.0.0.1:{ports['TIDEGATE_GRPC_PORT']}")
    assert (seen.code, set(seen.states.values()) - {"not asked"}) == (0, {"ok"}), seen.said


@pytest.mark.images
def test_buildah_makes_the_same_of_the_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("buildah") is None or os.geteuid() != 0:
        pytest.skip("buildah isn't here, or not root's")
    storage = tmp_path / "storage.conf"
    storage.write_text(f'[storage]\ndriver = "vfs"\nrunroot = "{tmp_path}/run"\ngraphroot = "{tmp_path}/graph"\n')
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(storage))
    command = [str(EXAMPLES / "stable.onnx"), "-t", "shop/digits:7", "--base", f"oci:{write_base(tmp_path)}"]
    images = []
    for builder in ("own", "buildah"):
        archive = tmp_path / f"{builder}.tar"
        code = main([*command, "--builder", builder, "--output", str(archive)], {})
        assert code == 0, capsys.readouterr().err
        image, layout = opened(archive, tmp_path / f"{builder}-opened")
        with tarfile.open(layout.blob(image.blobs[-1])) as layer:
            files = {each.name: (each.uid, each.gid, each.mode & 0o777, each.size) for each in layer}
        labels = {name: value for name, value in image.labels.items() if name != "io.buildah.version"}
        images.append((files, labels, image.environment, image.settings["User"], image.settings["Entrypoint"]))
    assert images[0] == images[1]


def server_archive() -> Path:
    """The newest that the demo has built; this test builds none."""
    images = pytest.importorskip("tidegate_demo.cluster.images")
    found = sorted(images.images_folder().glob("server-*.tar"), key=lambda path: path.stat().st_mtime)
    if not found:
        pytest.skip("there is no image of the server: `make images` builds it")
    return Path(found[-1])


def layout_of(docker_archive: Path, folder: Path) -> Path:
    """An archive as `docker save` wrote it before it wrote layouts, as one."""
    layout, unpacked = Layout.create(folder), folder.with_suffix(".unpacked")
    with tarfile.open(docker_archive) as archive:
        archive.extractall(unpacked, filter="data")
    (listed,) = json.loads((unpacked / "manifest.json").read_text())
    config, layers = (unpacked / listed["Config"]).read_bytes(), []
    for name, digest in zip(listed["Layers"], json.loads(config)["rootfs"]["diff_ids"], strict=True):
        shutil.copyfile(unpacked / name, layout.blob(digest))
        layers.append({"mediaType": PLAIN_LAYER, "digest": digest, "size": layout.blob(digest).stat().st_size})
    layout.write(config)
    described = {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": layers}
    layout.name(encoded(manifest), "tidegate/server:demo")
    shutil.rmtree(unpacked)
    return folder


def unpack(layout: Layout, digests: list[str], root: Path) -> None:
    """Layer on layer; what one removes is gone."""
    root.mkdir()
    for digest in digests:
        with tarfile.open(layout.blob(digest)) as layer:
            for member in layer:
                name = Path(member.name)
                if name.name.startswith(".wh."):
                    subprocess.run(["rm", "-rf", str(root / name.with_name(name.name[4:]))], check=True)
                    continue
                layer.extract(member, root, filter="tar")
