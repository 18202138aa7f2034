"""Whatever is in an archive or in a model's file: it is taken, or refused in our words, and nothing lands elsewhere."""

import io
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate_server.errors import FetchFailed, ModelRefused
from tidegate_server.fetch.archive import ExtractTarget, unpack
from tidegate_server.fetch.limits import ByteBudget
from tidegate_server.onnx_file import external_locations

LIMIT = 100_000
FILES = {"model.onnx": bytes(range(256)) * 4, "a/labels.json": b"[]", "a/b/weights.bin": b"x" * 3000}
changes = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=12)
cuts = st.none() | st.integers(0, 10**6)
names = st.lists(st.sampled_from(["..", ".", "a", "b", "", "/", "etc", "\\", "\0", "x" * 300]), max_size=5).map(
    "/".join
)


def tar_bytes(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zip_bytes(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as contents:
        for name, content in files.items():
            contents.writestr(name, content)
    return buffer.getvalue()


def spoiled(content: bytes, changed: list[tuple[int, int]], cut: int | None) -> bytes:
    spoiled = bytearray(content)
    for position, value in changed:
        spoiled[position % len(spoiled)] = value
    return bytes(spoiled if cut is None else spoiled[: cut % len(spoiled)])


def check(content: bytes, kind: str) -> None:
    """Unpacks into a folder inside an empty one, and looks at both."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "archive").write_bytes(content)
        (folder / "room").mkdir()
        room = ExtractTarget(folder / "room", ByteBudget.of(LIMIT), {})
        try:
            unpack(folder / "archive", kind, room)
        except FetchFailed as failure:
            assert failure.reason in ("UnsafeContent", "TooLarge")  # noqa: PT017 - a success is fine too
        assert sorted(path.name for path in folder.iterdir()) == ["archive", "room"]
        found = list((folder / "room").rglob("*"))
        assert not [path for path in found if path.is_symlink()]
        assert sum(path.stat().st_size for path in found if path.is_file()) <= LIMIT


@settings(max_examples=300, deadline=None)
@given(changes, cuts)
def test_a_spoiled_tar(changed: list[tuple[int, int]], cut: int | None) -> None:
    check(spoiled(tar_bytes(FILES), changed, cut), "tar")


@settings(max_examples=300, deadline=None)
@given(changes, cuts)
def test_a_spoiled_zip(changed: list[tuple[int, int]], cut: int | None) -> None:
    check(spoiled(zip_bytes(FILES), changed, cut), "zip")


@settings(max_examples=200, deadline=None)
@given(st.lists(names, max_size=6, unique=True), st.sampled_from(["tar", "zip"]))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_of_all_kinds(given_names: list[str], kind: str) -> None:
    files = dict.fromkeys((name for name in given_names if name and name[0] != "\0"), b"x")
    check(tar_bytes(files) if kind == "tar" else zip_bytes(files), kind)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes, cuts)
def test_a_spoiled_model(external: Path, tmp_path: Path, changed: list[tuple[int, int]], cut: int | None) -> None:
    place = tmp_path / "model.onnx"
    place.write_bytes(spoiled(external.read_bytes(), changed, cut))
    try:
        locations = external_locations(place)
    except ModelRefused as refusal:
        assert refusal.reason in ("NotOnnx", "UnsafeContent")  # noqa: PT017 - a success is fine too
    else:
        assert all(isinstance(location, str) for location in locations)
