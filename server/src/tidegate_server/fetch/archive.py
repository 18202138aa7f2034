"""Unpacks tar, tar.gz and zip into a folder of our own, and believes nothing that an archive says about itself.

Only folders and plain files are taken; a link or a device ends it, and so do names that lead out of the folder, more
bytes than allowed, and a ratio that no model has. What is written is written by us, with our rights and modes.
"""

import gzip
import hashlib
import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.bounds import MAX_ENTRIES, MAX_FILES, MAX_RATIO, RATIO_FROM_BYTES, Allowance
from tidegate_server.fetch.names import safe_name, unsafe
from tidegate_server.fetch.report import TOO_LARGE, UNSAFE_CONTENT
from tidegate_server.fetch.transfer import PIECE_BYTES, Arrived

WHERE = "the archive"
_MAX_READ = 2 * PIECE_BYTES
"""No header and no table of contents of a model's archive is longer; longer ones are made to fill the memory."""
_GZIP = b"\x1f\x8b"
_GONE = ".wh."
_ALL_GONE = ".wh..wh..opq"
"""How a layer of an image says that files of the layers below it are gone."""


@dataclass(frozen=True)
class Room:
    """Where archives are unpacked to, one over the other. `inside`: the only folder of theirs that is wanted."""

    folder: Path
    allowance: Allowance
    files: dict[str, Arrived]
    inside: str = ""
    layered: bool = False
    """Whether a later archive may replace and remove files of an earlier one."""


_DAMAGES = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    # What the readers make of headers whose numbers and texts are nonsense, or that refer to each other without end.
    ValueError,
    LookupError,
    ArithmeticError,
    RecursionError,
)


def unpack(archive: Path, kind: str, room: Room) -> None:
    """Adds the archive's files to `room.files`. Raises FetchFailed."""
    try:
        if kind == "zip":
            _unzip(archive, room)
        else:
            _untar(archive, room)
    except _DAMAGES as error:
        raise FetchFailed(UNSAFE_CONTENT, f"{WHERE} is damaged or of another kind than {kind}") from error


class _Bounded(io.RawIOBase):
    """What is unpacked from a stream, as long as it's plausible for the size of what is packed."""

    def __init__(self, plain: IO[bytes], packed: int, most: int) -> None:
        self._plain, self._packed, self._most = plain, packed, most

    def read(self, size: int = -1) -> bytes:
        piece = self._plain.read(_MAX_READ + 1 if size < 0 else min(size, _MAX_READ + 1))
        if len(piece) > _MAX_READ:
            raise FetchFailed(UNSAFE_CONTENT, f"{WHERE} has a header of over {_MAX_READ} bytes, which no model's has")
        self._check(self._plain.tell())
        return piece

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_SET:
            self._check(offset)
        try:
            return self._plain.seek(offset, whence)
        except OSError as error:
            # Before the beginning: the table of contents says so.
            raise ValueError("no such place in the archive") from error

    def tell(self) -> int:
        return self._plain.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def _check(self, position: int) -> None:
        # Headers and padding come on top of the files; a fixed part and a share of them is plenty.
        if position > self._most + self._most // 8 + 16 * PIECE_BYTES:
            raise FetchFailed(TOO_LARGE, f"{WHERE} has more bytes than the limit, which is {self._most}")
        if position > RATIO_FROM_BYTES and position > self._packed * MAX_RATIO:
            raise FetchFailed(
                UNSAFE_CONTENT, f"{WHERE} has over {MAX_RATIO} times its size inside; it looks like a bomb"
            )


def _untar(archive: Path, room: Room) -> None:
    with _plain(archive) as plain:
        bounded = _Bounded(plain, archive.stat().st_size, room.allowance.most)
        seen: set[str] = set()
        with tarfile.open(fileobj=cast(IO[bytes], bounded), mode="r:") as tar:
            for count, member in enumerate(tar):
                _check_count(count)
                _take_member(tar, member, room, seen)


@contextmanager
def _plain(archive: Path) -> Iterator[IO[bytes]]:
    with archive.open("rb") as file:
        packed = file.read(2) == _GZIP
        file.seek(0)
        if not packed:
            yield file
            return
        with gzip.GzipFile(fileobj=file) as unzipped:
            yield cast(IO[bytes], unzipped)


def _take_member(tar: tarfile.TarFile, member: tarfile.TarInfo, room: Room, seen: set[str]) -> None:
    name = member.name.removeprefix("./").rstrip("/")
    if member.isdir() and name in ("", "."):
        return
    if (inner := _wanted(name, room)) is None:
        return
    if room.layered and _removes(inner, room):
        return
    if wrong := _member_is(member):
        raise unsafe(name, WHERE, wrong)
    safe_name(inner, WHERE)
    if member.isdir():
        return
    file = tar.extractfile(member)
    if file is None:
        raise unsafe(name, WHERE, "it is no plain file")
    _write(inner, member.size, file.read, room, seen)


def _member_is(member: tarfile.TarInfo) -> str:
    """What is wrong with it; empty for a plain file and for a folder."""
    if member.issym():
        return "it is a symbolic link"
    if member.islnk():
        return "it is a hard link"
    if member.isdev():
        return "it is a device"
    if member.issparse() or not (member.isreg() or member.isdir()):
        return "it is no plain file"
    return ""


def _unzip(archive: Path, room: Room) -> None:
    with archive.open("rb") as file:
        bounded = _Bounded(file, archive.stat().st_size, archive.stat().st_size)
        with zipfile.ZipFile(cast(IO[bytes], bounded)) as contents:
            _check_ratio(sum(info.file_size for info in contents.infolist()), archive)
            seen: set[str] = set()
            for count, info in enumerate(contents.infolist()):
                _check_count(count)
                _take_info(contents, info, room, seen)


def _take_info(contents: zipfile.ZipFile, info: zipfile.ZipInfo, room: Room, seen: set[str]) -> None:
    name = info.filename.rstrip("/")
    if (inner := _wanted(name, room)) is None:
        return
    safe_name(inner, WHERE)
    mode = stat.S_IFMT(info.external_attr >> 16)
    if stat.S_ISLNK(mode):
        raise unsafe(name, WHERE, "it is a symbolic link")
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise unsafe(name, WHERE, "it is no plain file")
    if info.flag_bits & 1:
        raise unsafe(name, WHERE, "it is encrypted")
    if not info.is_dir():
        with contents.open(info) as file:
            _write(inner, info.file_size, file.read, room, seen)


def _check_ratio(unpacked: int, archive: Path) -> None:
    if unpacked > RATIO_FROM_BYTES and unpacked > archive.stat().st_size * MAX_RATIO:
        raise FetchFailed(UNSAFE_CONTENT, f"{WHERE} has over {MAX_RATIO} times its size inside; it looks like a bomb")


def _check_count(count: int) -> None:
    if count >= MAX_ENTRIES:
        raise FetchFailed(UNSAFE_CONTENT, f"{WHERE} has more than {MAX_ENTRIES} entries; pack the model only")


def _wanted(name: str, room: Room) -> str | None:
    """The name inside the wanted folder; None for what is elsewhere, and then it doesn't matter what it is."""
    if not room.inside:
        return name
    # In an image other folders may hold anything, links and devices too. None of it is touched.
    return name.removeprefix(f"{room.inside}/") if name.startswith(f"{room.inside}/") else None


def _removes(name: str, room: Room) -> bool:
    """Whether the entry only says that something of an earlier layer is gone; then it is gone."""
    folder, _, last = name.rpartition("/")
    prefix = f"{folder}/" if folder else ""
    if not last.startswith(_GONE):
        return False
    gone = prefix if last == _ALL_GONE else f"{prefix}{last.removeprefix(_GONE)}"
    for file in [file for file in room.files if file == gone or file.startswith(f"{gone.rstrip('/')}/") or not gone]:
        _remove(file, room)
    return True


def _remove(name: str, room: Room) -> None:
    arrived = room.files.pop(name)
    arrived.place.unlink()
    room.allowance.left += arrived.size


def _write(name: str, size: int, read: Callable[[int], bytes], room: Room, seen: set[str]) -> None:
    if name in seen:
        raise unsafe(name, WHERE, "it is there twice")
    seen.add(name)
    if name in room.files:
        if not room.layered:
            raise unsafe(name, WHERE, "it is there twice")
        _remove(name, room)
    if len(room.files) >= MAX_FILES:
        raise FetchFailed(UNSAFE_CONTENT, f"{WHERE} has more than {MAX_FILES} files; pack the model only")
    if not 0 <= size <= room.allowance.left:
        raise FetchFailed(TOO_LARGE, f"{WHERE} unpacks to more than {room.allowance.most} bytes, which is the limit")
    place = room.folder / name
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        room.files[name] = _copy(place, size, read, room)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise unsafe(name, WHERE, "another entry is where it should go") from None


def _copy(place: Path, size: int, read: Callable[[int], bytes], room: Room) -> Arrived:
    digest, written = hashlib.sha256(), 0
    with place.open("xb") as file:
        while piece := read(min(PIECE_BYTES, size - written + 1)):
            written += len(piece)
            if written > size:
                raise unsafe(place.name, WHERE, "it is longer than the archive says")
            digest.update(piece)
            file.write(piece)
    if written < size:
        raise FetchFailed(UNSAFE_CONTENT, f"{WHERE} ends in the middle of {place.name!r}")
    room.allowance.left -= written
    return Arrived(place, digest.hexdigest(), written)


def only_folder(files: Mapping[str, Arrived]) -> str:
    """The folder that all files are in, where archives wrap a model in one: `digits-7`, or `` where there is none."""
    if any(name.endswith(".onnx") and "/" not in name for name in files):
        return ""
    tops = {name.partition("/")[0] for name in files}
    return tops.pop() if len(tops) == 1 and all("/" in name for name in files) else ""
