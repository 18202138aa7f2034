"""oci:// with artifacts to the CNCF's ModelPack specification, in a real registry."""

import gzip
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.server.fetch.conftest import Bring, contents, files_sha256
from tests.server.fetch.oci_registry import Registry, a_registry, link, tar_layer
from tidegate_server.fetch import zstd

pytestmark = pytest.mark.sources

PACK = "application/vnd.cncf.model."
ARTIFACT, CONFIG = f"{PACK}manifest.v1+json", f"{PACK}config.v1+json"
NAME = "org.cncf.model.filepath"
PACKED: Mapping[str, Callable[[bytes], bytes]] = {
    "tar": lambda content: content,
    "tar+gzip": gzip.compress,
    "tar+zstd": lambda content: bytes(zstd._module().compress(content)),
}


@pytest.fixture(scope="module")
def registry(store_program: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with a_registry(store_program("registry"), tmp_path_factory.mktemp("registry")) as found:
        yield found


def push(registry: Registry, name: str, *layers: dict[str, Any]) -> str:
    """The artifact's digest."""
    repository, _, tag = name.partition(":")
    return registry.push_layers(repository, tag, *layers, config=(CONFIG, b"{}"), artifactType=ARTIFACT)


def part_of(name: str) -> str:
    """Weights and graphs are weights; whatever else the server reads is their configuration."""
    return "weight" if name.endswith((".onnx", ".bin")) else "weight.config"


def raw(registry: Registry, repository: str, files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    return [
        registry.push_blob(repository, content, f"{PACK}{part_of(name)}.v1.raw", **{NAME: name})
        for name, content in files.items()
    ]


def test_raw_layers_are_the_files_that_they_name(bring: Bring, registry: Registry, whole: Path) -> None:
    files = contents(whole)
    digest = push(registry, "pack/raw:7", *raw(registry, "pack/raw", files))
    ended = bring(registry.uri("pack/raw:7"))
    assert (ended.reason, ended.shown) == ("brought", files)
    assert ended.report["files_sha256"] == files_sha256(files)
    assert ended.report["resolved"] == registry.uri(f"pack/raw@{digest}")
    assert bring(ended.report["resolved"]).report == ended.report


@pytest.mark.parametrize("form", PACKED)
def test_archives_are_unpacked_though_they_name_their_file(
    bring: Bring, registry: Registry, whole: Path, form: str
) -> None:
    files, repository = contents(whole), f"pack/{form.replace('+', '-')}"
    layers = [
        registry.push_blob(
            repository,
            PACKED[form](tar_layer({name: content}, packed=False)),
            f"{PACK}{part_of(name)}.v1.{form}",
            **{NAME: name},
        )
        for name, content in files.items()
    ]
    push(registry, f"{repository}:1", *layers)
    ended = bring(registry.uri(f"{repository}:1"))
    assert (ended.reason, ended.shown) == ("brought", files)


def test_raw_and_packed_layers_may_be_beside_each_other(bring: Bring, registry: Registry, whole: Path) -> None:
    files = contents(whole)
    packed = {name: content for name, content in files.items() if part_of(name) != "weight"}
    layers = raw(registry, "pack/mixed", {name: files[name] for name in files.keys() - packed.keys()})
    layers.append(registry.push_blob("pack/mixed", tar_layer(packed), f"{PACK}weight.config.v1.tar+gzip"))
    push(registry, "pack/mixed:1", *layers)
    assert bring(registry.uri("pack/mixed:1")).shown == files


def test_documents_code_and_data_are_left_where_they_are(bring: Bring, registry: Registry, whole: Path) -> None:
    """Not even a look is taken at them: the links would be refused, and the bytes be too many."""
    files, limit = contents(whole), 2**20
    config = registry.push_blob("pack/aside", tar_layer(files), f"{PACK}weight.v1.tar+gzip")
    aside = [
        registry.push_blob("pack/aside", tar_layer({}, link("latest", "/etc")), f"{PACK}{part}.v1.tar+gzip")
        for part in ("doc", "code")
    ]
    aside.append(registry.push_blob("pack/aside", bytes(2 * limit), f"{PACK}dataset.v1.raw", **{NAME: "train.csv"}))
    push(registry, "pack/aside:1", *aside, config)
    ended = bring(registry.uri("pack/aside:1"), TIDEGATE_MAX_MODEL_BYTES=str(limit))
    assert (ended.reason, ended.shown) == ("brought", files)


@pytest.mark.parametrize(
    ("layer", "reason", "words"),
    [
        pytest.param(
            ("weight.v1.raw", b"x", {}),
            "UnsupportedUri",
            "a raw weight layer without a name",
            id="weights without a name",
        ),
        pytest.param(
            ("weight.v1.raw", b"x", {NAME: "../up.onnx"}), "UnsafeContent", "'..'", id="a name that leads out"
        ),
        pytest.param(("weight.v1.raw", b"x", {NAME: "/etc/up.onnx"}), "UnsafeContent", "/etc", id="an absolute name"),
        pytest.param(
            ("weight.v1.tar", tar_layer({"../up.onnx": b"x"}, packed=False), {}),
            "UnsafeContent",
            "'..'",
            id="a path in an archive that leads out",
        ),
        pytest.param(
            ("weight.v1.tar", tar_layer({}, link("model.onnx", "/etc/passwd"), packed=False), {}),
            "UnsafeContent",
            "symbolic link",
            id="a link",
        ),
        pytest.param(
            ("weight.v1.tar+zstd", PACKED["tar+zstd"](tar_layer({"zeros.bin": bytes(80 * 2**20)}, packed=False)), {}),
            "UnsafeContent",
            "looks like a bomb",
            id="a bomb of zstd",
        ),
        pytest.param(
            ("weight.v1.tar+zstd", PACKED["tar+zstd"](tar_layer({"a.onnx": b"x"}, packed=False))[:-9], {}),
            "UnsafeContent",
            "damaged",
            id="zstd that ends too soon",
        ),
        pytest.param(("doc.v1.raw", b"x", {NAME: "README.md"}), "NotFound", "no .onnx file", id="documents only"),
    ],
)
def test_what_is_no_model_is_refused(
    bring: Bring, registry: Registry, layer: tuple[str, bytes, dict[str, str]], reason: str, words: str
) -> None:
    kind, content, notes = layer
    push(registry, "pack/bad:1", registry.push_blob("pack/bad", content, f"{PACK}{kind}", **notes))
    ended = bring(registry.uri("pack/bad:1"))
    assert (ended.reason, ended.left) == (reason, [])
    assert words in ended.report["message"]


@pytest.mark.parametrize("form", ["raw", "tar", "tar+zstd"])
def test_more_bytes_than_allowed_are_refused_packed_or_not(bring: Bring, registry: Registry, form: str) -> None:
    limit = 2**20
    content = bytes(limit + 1)
    layer = content if form == "raw" else PACKED[form](tar_layer({"model.onnx": content}, packed=False))
    named = registry.push_blob("pack/large", layer, f"{PACK}weight.v1.{form}", **{NAME: "model.onnx"})
    push(registry, "pack/large:1", named)
    ended = bring(registry.uri("pack/large:1"), TIDEGATE_MAX_MODEL_BYTES=str(limit))
    assert (ended.reason, ended.left) == ("TooLarge", [])


def test_without_a_module_for_zstd_its_name_is_said(
    bring: Bring, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = PACKED["tar+zstd"](tar_layer({"model.onnx": b"x"}, packed=False))
    push(registry, "pack/none:1", registry.push_blob("pack/none", layer, f"{PACK}weight.v1.tar+zstd"))
    monkeypatch.setattr(zstd, "_MODULES", ("none_of_these",))
    ended = bring(registry.uri("pack/none:1"))
    assert (ended.reason, "backports-zstd" in ended.report["message"]) == ("UnsupportedUri", True)
