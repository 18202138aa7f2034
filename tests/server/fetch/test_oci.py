"""oci:// against a real registry, CNCF Distribution, filled over its HTTP API; and what a bad one may try."""

import base64
import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import answers, free_port, running
from tests.server.fetch.broken_proxy import breaking_proxy
from tests.server.fetch.conftest import Bring, contents, files_sha256

pytestmark = pytest.mark.sources

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
PLAIN = "application/octet-stream"
TAR, TARGZ = "application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.v1.tar+gzip"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class Registry:
    host: str
    login: tuple[str, str] | None = None

    def uri(self, name: str) -> str:
        return f"oci://{self.host}/{name}"

    def push_blob(self, repository: str, content: bytes, kind: str = PLAIN, **notes: str) -> dict[str, Any]:
        """The blob's descriptor; `notes` are its annotations."""
        base = f"http://{self.host}/v2/{repository}/blobs/uploads/"
        place = requests.post(base, auth=self.login, timeout=10).headers["Location"]
        sent = requests.put(place, params={"digest": digest_of(content)}, data=content, auth=self.login, timeout=30)
        assert sent.status_code == 201, sent.text
        found: dict[str, Any] = {"mediaType": kind, "digest": digest_of(content), "size": len(content)}
        return {**found, "annotations": notes} if notes else found

    def push(self, repository: str, tag: str, manifest: Mapping[str, Any]) -> str:
        body = json.dumps({"schemaVersion": 2, **manifest}).encode()
        sent = requests.put(
            f"http://{self.host}/v2/{repository}/manifests/{tag}",
            data=body,
            headers={"Content-Type": manifest["mediaType"]},
            auth=self.login,
            timeout=10,
        )
        assert sent.status_code == 201, sent.text
        return digest_of(body)

    def size_of(self, repository: str, tag: str) -> int:
        url = f"http://{self.host}/v2/{repository}/manifests/{tag}"
        return len(requests.get(url, timeout=10, headers={"Accept": MANIFEST}).content)

    def push_layers(self, repository: str, tag: str, *layers: dict[str, Any]) -> str:
        config = self.push_blob(repository, b"{}", "application/vnd.oci.empty.v1+json")
        return self.push(repository, tag, {"mediaType": MANIFEST, "config": config, "layers": list(layers)})

    def push_files(self, repository: str, tag: str, files: Mapping[str, bytes]) -> str:
        """As `oras push` does: a layer a file, its name in an annotation."""
        layers = [
            self.push_blob(repository, content, TAR, **{"org.opencontainers.image.title": name})
            for name, content in files.items()
        ]
        return self.push_layers(repository, tag, *layers)


@contextmanager
def a_registry(program: Path, folder: Path, auth: str = "", login: tuple[str, str] | None = None) -> Iterator[Registry]:
    port = free_port()
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\nlog: {level: warn}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n{auth}"
    )
    with running(folder, [str(program), "serve", str(config)]) as process:
        answers(f"http://127.0.0.1:{port}/", process)
        yield Registry(f"127.0.0.1:{port}", login)


@pytest.fixture(scope="module")
def registry(store_program: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with a_registry(store_program("registry"), tmp_path_factory.mktemp("registry")) as found:
        yield found


def tar_layer(files: Mapping[str, bytes], *more: tarfile.TarInfo, packed: bool = True) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in more:
            tar.addfile(info)
    return gzip.compress(buffer.getvalue()) if packed else buffer.getvalue()


def link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


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
        pytest.param("shop/bad:zstd", "UnsupportedUri", "zstd", id="a packing that isn't known"),
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
    registry.push_layers("shop/bad", "zstd", layer(b"x", "application/vnd.oci.image.layer.v1.tar+zstd"))
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
