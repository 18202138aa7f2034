"""oci:// with an ordinary image that has its model under /models, as KServe's modelcars do, in a real registry."""

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.server.fetch.conftest import Bring, contents
from tests.server.fetch.oci_registry import Registry, a_registry, link, tar_layer
from tidegate_server.fetch import zstd

pytestmark = pytest.mark.sources

SYSTEM = tar_layer({"etc/passwd": b"root"}, link("bin/sh", "/bin/busybox"))
"""A layer of an operating system."""


@pytest.fixture(scope="module")
def registry(store_program: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with a_registry(store_program("registry"), tmp_path_factory.mktemp("registry")) as found:
        yield found


def under(folder: str, files: dict[str, bytes]) -> bytes:
    """A layer."""
    return tar_layer({f"{folder}/{name}": content for name, content in files.items()})


def folder(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE
    return info


def test_the_folder_models_is_taken_and_nothing_else(bring: Bring, registry: Registry, whole: Path) -> None:
    digest = registry.push_image("car/plain", "7", SYSTEM, under("models", contents(whole)))
    ended = bring(registry.uri("car/plain:7"))
    assert (ended.reason, ended.shown) == ("brought", contents(whole))
    assert ended.report["resolved"] == registry.uri(f"car/plain@{digest}")
    assert bring(ended.report["resolved"]).report == ended.report


def test_a_layer_packed_with_zstd_is_unpacked(bring: Bring, registry: Registry, whole: Path) -> None:
    plain = tar_layer({f"models/{name}": content for name, content in contents(whole).items()}, packed=False)
    kind = "application/vnd.oci.image.layer.v1.tar+zstd"
    registry.push_image("car/zstd", "7", zstd._module().compress(plain), kind=kind)
    assert bring(registry.uri("car/zstd:7")).shown == contents(whole)


def test_an_image_without_such_a_folder_is_read_whole(bring: Bring, registry: Registry, whole: Path) -> None:
    registry.push_image("car/flat", "7", tar_layer(contents(whole)))
    assert bring(registry.uri("car/flat:7")).shown == contents(whole)


OLD = {"old.onnx": b"old", "labels.json": b'["old"]'}


@pytest.mark.parametrize(
    "whiteout",
    [
        pytest.param([tarfile.TarInfo(".wh.models")], id="the folder removed"),
        pytest.param([tarfile.TarInfo(".wh..wh..opq")], id="everything removed"),
        pytest.param([tarfile.TarInfo("models/.wh..wh..opq")], id="all in the folder removed"),
        pytest.param(
            [tarfile.TarInfo("models/.wh.old.onnx"), tarfile.TarInfo("./models/.wh.labels.json")],
            id="each file removed",
        ),
        pytest.param([folder("models"), tarfile.TarInfo("models/.wh..wh..opq")], id="the folder made anew"),
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_what_a_later_layer_removes_is_gone_but_not_what_it_brings(
    bring: Bring, registry: Registry, whole: Path, whiteout: list[tarfile.TarInfo], when: str
) -> None:
    files = {name: content for name, content in contents(whole).items() if name != "labels.json"}
    added = {f"models/{name}": content for name, content in files.items()}
    later = tar_layer(added, *whiteout) if when == "after" else tar_layer({}, *whiteout, then=added)
    registry.push_image("car/whiteout", "7", SYSTEM, under("models", OLD), later)
    ended = bring(registry.uri("car/whiteout:7"))
    assert (ended.reason, ended.shown) == ("brought", files)


def test_a_removed_folder_of_which_another_name_begins_alike_stays(
    bring: Bring, registry: Registry, whole: Path
) -> None:
    later = tar_layer({}, tarfile.TarInfo(".wh.model"), tarfile.TarInfo("models/.wh.label"))
    registry.push_image("car/alike", "7", under("models", contents(whole)), later)
    assert bring(registry.uri("car/alike:7")).shown == contents(whole)


def test_layers_above_the_named_folder_remove_it_too(bring: Bring, registry: Registry, whole: Path) -> None:
    files = contents(whole)
    later = tar_layer(
        {}, tarfile.TarInfo("srv/.wh.models"), then={f"srv/models/7/{name}": files[name] for name in files}
    )
    registry.push_image("car/deep", "7", under("srv/models/7", OLD), later)
    assert bring(registry.uri("car/deep:7/srv/models/7")).shown == files


@pytest.mark.parametrize(
    ("layers", "reason", "words"),
    [
        pytest.param([SYSTEM], "UnsafeContent", "the image has no folder /models", id="an operating system alone"),
        pytest.param(
            [under("models", {"notes.txt": b"x"})], "NotFound", "no .onnx file", id="a folder without a model"
        ),
        pytest.param(
            [tar_layer({}, link("models", "/srv"))], "UnsafeContent", "'models', and it is a symbolic link", id="a link"
        ),
        pytest.param(
            [under("models", OLD), tar_layer({"models": b"x"})],
            "UnsafeContent",
            "it is a file where the model's folder should be",
            id="a file in the folder's place",
        ),
        pytest.param(
            [under("models", OLD), tar_layer({}, link("models/model.onnx", "/etc/passwd"))],
            "UnsafeContent",
            "symbolic link",
            id="a link in the folder",
        ),
        pytest.param([under("models/..", {"up.onnx": b"x"})], "UnsafeContent", "'..'", id="a path that leads out"),
        pytest.param(
            [under("models", OLD), tar_layer({}, tarfile.TarInfo(".wh.models"))],
            "NotFound",
            "no .onnx file",
            id="a folder that was removed",
        ),
    ],
)
def test_what_has_no_model_is_refused(
    bring: Bring, registry: Registry, layers: list[bytes], reason: str, words: str
) -> None:
    registry.push_image("car/bad", "1", *layers)
    ended = bring(registry.uri("car/bad:1"))
    assert (ended.reason, ended.left) == (reason, [])
    assert words in ended.report["message"]
