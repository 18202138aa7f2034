"""oci:// against a real registry, CNCF Distribution, filled over its HTTP API; and what a bad one may try."""

import base64
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.fetch.broken_proxy import breaking_proxy
from tests.server.fetch.conftest import Bring, contents, files_sha256
from tests.server.fetch.oci_registry import INDEX, MANIFEST, PLAIN, TAR, TARGZ, Registry, a_registry, link, tar_layer

pytestmark = pytest.mark.sources


@pytest.fixture(scope="module")
def registry(store_program: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with a_registry(store_program("registry"), tmp_path_factory.mktemp("registry")) as found:
        yield found


def test_an_artifact_of_files_is_pulled_and_pinned(bring: Bring, registry: Registry, whole: Path) -> None:
    files = contents(whole)
    digest = registry.push_files("shop/digits", "7", {**files, "README.md": b"not the server's"})
    ended = bring(registry.uri("shop/digits:7"))
    assert (ended.reason, ended.shown) == ("brought", files)
    assert ended.report["files_sha256"] == files_sha256(files)
    assert ended.report["resolved"] == registry.uri(f"shop/digits@{digest}")
    assert bring(ended.report["resolved"]).report == ended.report


@pytest.mark.parametrize("packed", [True, False], ids=["tar+gzip", "tar"])
def test_a_layer_that_is_an_archive_is_unpacked(bring: Bring, registry: Registry, whole: Path, packed: bool) -> None:
    layer = tar_layer(contents(whole), packed=packed)
    registry.push_layers("shop/packed", "1", registry.push_blob("shop/packed", layer, TARGZ if packed else TAR))
    ended = bring(registry.uri("shop/packed:1"))
    assert (ended.reason, ended.shown) == ("brought", contents(whole))


def test_a_folder_that_oras_pushed_is_unpacked(bring: Bring, registry: Registry, whole: Path) -> None:
    layer = tar_layer({f"digits/{name}": content for name, content in contents(whole).items()})
    notes = {"org.opencontainers.image.title": "digits", "io.deis.oras.content.unpack": "true"}
    registry.push_layers("shop/folder", "1", registry.push_blob("shop/folder", layer, TARGZ, **notes))
    assert bring(registry.uri("shop/folder:1")).shown == contents(whole)


def test_an_image_gives_its_folder_and_later_layers_win(bring: Bring, registry: Registry, whole: Path) -> None:
    """Outside the folder an image may have links; what a later layer removes is gone."""
    files = {f"models/7/{name}": content for name, content in contents(whole).items()}
    layers = [
        registry.push_blob("shop/image", tar_layer({"etc/passwd": b""}, link("bin/sh", "/bin/busybox")), TARGZ),
        registry.push_blob("shop/image", tar_layer(files), TARGZ),
        registry.push_blob(
            "shop/image", tar_layer({"models/7/labels.json": b'["later"]', "models/7/.wh.selftest.json": b""}), TARGZ
        ),
    ]
    image = registry.push_layers("shop/image", "layers", *layers)
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    size = registry.size_of("shop/image", "layers")
    entries = [
        {"mediaType": MANIFEST, "digest": image, "size": size, "platform": {"os": "linux", "architecture": machine}},
        {
            "mediaType": MANIFEST,
            "digest": image,
            "size": size,
            "platform": {"os": "unknown", "architecture": "unknown"},
        },
    ]
    index = registry.push("shop/image", "7", {"mediaType": INDEX, "manifests": entries})
    ended = bring(registry.uri("shop/image:7/models/7"))
    expected = {**contents(whole), "labels.json": b'["later"]'}
    del expected["selftest.json"]
    assert (ended.reason, ended.shown) == ("brought", expected)
    assert ended.report["resolved"] == registry.uri(f"shop/image@{index}/models/7")


def test_the_next_container_resumes(bring: Bring, registry: Registry, big: Path) -> None:
    size = big.stat().st_size
    registry.push_files("shop/big", "1", {"model.onnx": big.read_bytes()})
    with breaking_proxy(int(registry.host.rpartition(":")[2])) as proxy:
        uri = f"oci://127.0.0.1:{proxy.port}/shop/big:1"
        proxy.left = size // 2
        stopped = bring(uri, TIDEGATE_FETCH_RETRY_SECONDS="0")
        assert (stopped.reason, len(stopped.left)) == ("Unreachable", 2)
        proxy.left, proxy.came = None, 0
        ended = bring(uri)
    assert (ended.reason, ended.report["sha256"]) == ("brought", hashlib.sha256(big.read_bytes()).hexdigest())
    assert proxy.came < size * 0.6


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [
        pytest.param("shop/none:1", "NotFound", "no such file (404)", id="no such repository"),
        pytest.param("shop/bad:missing", "NotFound", "404", id="no such tag"),
        pytest.param("shop/bad:escape", "UnsafeContent", "'..'", id="a title that leads out"),
        pytest.param("shop/bad:link", "UnsafeContent", "symbolic link", id="a link in a layer"),
        pytest.param("shop/bad:damaged", "UnsafeContent", "damaged", id="a layer that is no archive"),
        pytest.param("shop/bad:nothing", "NotFound", "no .onnx file", id="nothing in it"),
        pytest.param("shop/bad:otherwise", "UnsupportedUri", "nothing under that name for", id="another platform"),
        pytest.param("Shop/Bad:1", "UnsupportedUri", "is no reference", id="no repository's name"),
        pytest.param("shop/bad@sha256:abc", "UnsupportedUri", "neither a tag nor a digest", id="no digest"),
        pytest.param("shop/bad:1/../../etc", "UnsafeContent", "'..'", id="a path that leads out"),
    ],
)
def test_what_is_no_model_is_refused(bring: Bring, registry: Registry, name: str, reason: str, words: str) -> None:
    def layer(content: bytes, kind: str, **notes: str) -> dict[str, Any]:
        return registry.push_blob("shop/bad", content, kind, **notes)

    title = "org.opencontainers.image.title"
    registry.push_layers("shop/bad", "escape", layer(b"x", PLAIN, **{title: "../model.onnx"}))
    registry.push_layers("shop/bad", "link", layer(tar_layer({}, link("model.onnx", "/etc/passwd")), TARGZ))
    registry.push_layers("shop/bad", "damaged", layer(b"x", TAR))
    image = registry.push_layers("shop/bad", "nothing", layer(b"x", PLAIN))
    size = registry.size_of("shop/bad", "nothing")
    entries = [
        {"mediaType": MANIFEST, "digest": image, "size": size, "platform": {"os": "linux", "architecture": each}}
        for each in ("s390x", "riscv64")
    ]
    registry.push("shop/bad", "otherwise", {"mediaType": INDEX, "manifests": entries})
    ended = bring(registry.uri(name))
    assert (ended.reason, ended.left) == (reason, [])
    assert words in ended.report["message"]


LOGIN = ("robot", "tests-only-password")
HASHED = "$2b$04$EtyPMwRRv.qfg.F2/snti.sj9x80rySvYYCBLwwcmh1WuVKLUPcdC"
"""The password as `htpasswd -B` writes it."""


@pytest.fixture(scope="module")
def private(store_program: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that wants a password."""
    folder = tmp_path_factory.mktemp("private")
    (folder / "htpasswd").write_text(f"{LOGIN[0]}:{HASHED}\n")
    auth = f"auth: {{htpasswd: {{realm: tests, path: {folder}/htpasswd}}}}\n"
    with a_registry(store_program("registry"), folder, auth, LOGIN) as found:
        yield found


def docker_config(folder: Path, host: str, login: tuple[str, str], name: str = "config.json") -> Path:
    auth = base64.b64encode(":".join(login).encode()).decode()
    (folder / name).write_text(json.dumps({"auths": {"elsewhere.example": {"auth": "eDp5"}, host: {"auth": auth}}}))
    return folder / name


@pytest.mark.parametrize("way", ["file", "folder of a Secret", "DOCKER_CONFIG"])
def test_a_password_comes_from_a_docker_config(
    bring: Bring, private: Registry, linear: Path, tmp_path: Path, way: str
) -> None:
    private.push_files("shop/digits", "1", {"model.onnx": linear.read_bytes()})
    config = docker_config(tmp_path, private.host, LOGIN, ".dockerconfigjson" if "Secret" in way else "config.json")
    environment = {
        "file": {"TIDEGATE_REGISTRY_AUTH": str(config)},
        "folder of a Secret": {"TIDEGATE_REGISTRY_AUTH": str(tmp_path)},
        "DOCKER_CONFIG": {"DOCKER_CONFIG": str(tmp_path)},
    }[way]
    assert bring(private.uri("shop/digits:1"), **environment).reason == "brought"


def test_without_the_right_password_nothing_is_said_of_it(bring: Bring, private: Registry, tmp_path: Path) -> None:
    ended = bring(private.uri("shop/digits:1"), DOCKER_CONFIG=str(tmp_path))
    assert (ended.reason, "wants a login" in ended.report["message"]) == ("Unreachable", True)
    config = docker_config(tmp_path, private.host, ("robot", "guessed-password"))
    ended = bring(private.uri("shop/digits:1"), TIDEGATE_REGISTRY_AUTH=str(config))
    assert (ended.reason, "check the credentials" in ended.report["message"]) == ("Unreachable", True)
    assert "guessed-password" not in ended.log + str(ended.report)
