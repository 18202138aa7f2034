"""Archives: what comes out of good ones, and why the others are refused."""

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.server.fetch.conftest import Bring, contents

MEBIBYTE = 2**20


def pack(folder: Path, archive: Path, top: str = "") -> Path:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as contents:
            for path in folder.rglob("*"):
                contents.write(path, f"{top}{path.relative_to(folder)}")
        return archive
    with tarfile.open(archive, "w" if archive.suffix == ".tar" else "w:gz") as tar:
        tar.add(folder, arcname=top or ".")
    return archive


@pytest.mark.parametrize("name", ["m.tar", "m.tar.gz", "m.tgz", "m.zip"])
@pytest.mark.parametrize("top", ["", "digits-7/"], ids=["flat", "in a folder"])
def test_an_archive_is_unpacked(bring: Bring, whole: Path, tmp_path: Path, name: str, top: str) -> None:
    ended = bring(pack(whole, tmp_path / name, top).as_uri())
    assert (ended.reason, ended.shown) == ("brought", contents(whole))
    assert ended.left == sorted([*contents(whole), ".model.onnx.files.json"])


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 1) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size if kind == tarfile.REGTYPE else 0
    return info


def tar_of(*entries: tarfile.TarInfo) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with tarfile.open(path, "w") as tar:
            for info in entries:
                tar.addfile(info, io.BytesIO(b"x" * info.size))

    return write


def a_gzip_bomb(path: Path) -> None:
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(entry("zeros.bin", size=80 * MEBIBYTE), io.BytesIO(bytes(80 * MEBIBYTE)))


def a_zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as contents:
        contents.writestr("zeros.bin", bytes(80 * MEBIBYTE))


def a_long_header(path: Path) -> None:
    """A header for the name of the next file that is as long as the memory."""
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 64 * 2**30
    path.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(4 * MEBIBYTE))


def a_tower_of_headers(path: Path) -> None:
    """Headers that are each about the next one."""
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 12
    path.write_bytes((header.tobuf() + b"12 path=abc\n".ljust(512, b"\0")) * 5000)


def a_liar(path: Path) -> None:
    """Says that it has a file of a terabyte."""
    path.write_bytes(entry("model.onnx", size=2**40).tobuf(tarfile.GNU_FORMAT) + bytes(10240))


def half(path: Path) -> None:
    path.write_bytes(gzip.compress(entry("model.onnx", size=10**5).tobuf() + bytes(10**5))[:-20])


def a_zip_with(name: str, mode: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        with zipfile.ZipFile(path, "w") as contents:
            contents.writestr(info, "/etc/passwd")

    return write


def many(path: Path) -> None:
    tar_of(*(entry(f"{number}.txt", size=0) for number in range(1001)))(path)


def many_folders(path: Path) -> None:
    tar_of(*(entry(f"{number}", tarfile.DIRTYPE) for number in range(10_001)))(path)


@pytest.mark.parametrize(
    ("name", "write", "reason", "words"),
    [
        pytest.param("m.tar", tar_of(entry("../model.onnx")), "UnsafeContent", "'..'", id="out of the folder"),
        pytest.param("m.tar", tar_of(entry("a/../../b")), "UnsafeContent", "'..'", id="out of the folder, hidden"),
        pytest.param("m.tar", tar_of(entry("/etc/cron.d/x")), "UnsafeContent", "absolute", id="an absolute path"),
        pytest.param(
            "m.tar", tar_of(entry("m", tarfile.SYMTYPE, "/etc")), "UnsafeContent", "symbolic link", id="a symbolic link"
        ),
        pytest.param(
            "m.tar", tar_of(entry("m", tarfile.LNKTYPE, "/etc/x")), "UnsafeContent", "a hard link", id="a hard link"
        ),
        pytest.param("m.tar", tar_of(entry("m", tarfile.CHRTYPE)), "UnsafeContent", "a device", id="a device"),
        pytest.param("m.tar", tar_of(entry("m", tarfile.FIFOTYPE)), "UnsafeContent", "a device", id="a pipe"),
        pytest.param("m.tar", tar_of(entry("m"), entry("m")), "UnsafeContent", "there twice", id="a file twice"),
        pytest.param("m.tar", tar_of(entry("m"), entry("m/x")), "UnsafeContent", "another entry", id="file and folder"),
        pytest.param("m.tar", tar_of(entry("x" * 300)), "UnsafeContent", "too long", id="a long name"),
        pytest.param("m.tar", tar_of(entry("d/" * 20 + "x")), "UnsafeContent", "16 folders", id="deep folders"),
        pytest.param("m.tar", tar_of(entry("a\\b")), "UnsafeContent", "characters", id="a backslash"),
        pytest.param("m.tar", tar_of(entry("a\nb")), "UnsafeContent", "characters", id="a line break"),
        pytest.param("m.tar", many, "UnsafeContent", "more than 1000 files", id="too many files"),
        pytest.param("m.tar", many_folders, "UnsafeContent", "more than 10000 entries", id="too many folders"),
        pytest.param("m.tgz", a_gzip_bomb, "UnsafeContent", "looks like a bomb", id="a gzip bomb"),
        pytest.param("m.zip", a_zip_bomb, "UnsafeContent", "looks like a bomb", id="a zip bomb"),
        pytest.param("m.tar", a_long_header, "UnsafeContent", "header", id="a header that fills the memory"),
        pytest.param("m.tar", a_tower_of_headers, "UnsafeContent", "damaged", id="headers without end"),
        pytest.param("m.tar", a_liar, "TooLarge", "limit", id="a file longer than the limit"),
        pytest.param("m.tgz", half, "UnsafeContent", "damaged", id="half an archive"),
        pytest.param("m.tgz", lambda path: path.write_bytes(b"<html>"), "UnsafeContent", "damaged", id="a web page"),
        pytest.param("m.zip", lambda path: path.write_bytes(b"<html>"), "UnsafeContent", "damaged", id="no zip"),
        pytest.param("m.zip", a_zip_with("../m", 0o644), "UnsafeContent", "'..'", id="zip: out of the folder"),
        pytest.param("m.zip", a_zip_with("/m", 0o644), "UnsafeContent", "absolute", id="zip: an absolute path"),
        pytest.param("m.zip", a_zip_with("m", stat.S_IFLNK), "UnsafeContent", "symbolic link", id="zip: a link"),
        pytest.param("m.zip", a_zip_with("m", stat.S_IFCHR), "UnsafeContent", "no plain file", id="zip: a device"),
        pytest.param("m.tar", tar_of(entry("readme")), "NotFound", "no .onnx file", id="no model in it"),
    ],
)
def test_what_no_model_needs_is_refused(
    bring: Bring, tmp_path: Path, name: str, write: Callable[[Path], None], reason: str, words: str
) -> None:
    write(tmp_path / name)
    ended = bring((tmp_path / name).as_uri())
    assert (ended.reason, ended.left) == (reason, [])
    assert words in ended.report["message"]
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("models", name, "termination-log")] == []


def test_what_is_unpacked_has_to_be_within_the_limit(bring: Bring, whole: Path, tmp_path: Path) -> None:
    archive = pack(whole, tmp_path / "m.tgz")
    total = sum(map(len, contents(whole).values()))
    ended = bring(archive.as_uri(), TIDEGATE_MAX_MODEL_BYTES=str(total - 1))
    assert (ended.reason, ended.left) == ("TooLarge", [])
    assert bring(archive.as_uri(), TIDEGATE_MAX_MODEL_BYTES=str(total)).reason == "brought"
