"""Unpacks tar, with gzip or zstd or without, and zip into a folder of our own, and believes no word of an archive.

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
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch import zstd
from tidegate_server.fetch.download import LocalFile
from tidegate_server.fetch.limits import MAX_ENTRIES, MAX_FILES, MAX_RATIO, RATIO_FROM_BYTES, ByteBudget
from tidegate_server.fetch.parts import PIECE_BYTES
from tidegate_server.fetch.report import TOO_LARGE, UNSAFE_CONTENT
from tidegate_server.fetch.safe_names import safe_name, unsafe

ARCHIVE = "the archive"
_MAX_HEADER_BYTES = 2 * PIECE_BYTES
"""No header and no table of contents of a model's archive is longer; longer ones are made to fill the memory."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_WHITEOUT = ".wh."
_OPAQUE_WHITEOUT = ".wh..wh..opq"
"""How a layer of an image says that files of the layers below it are gone."""


@dataclass(frozen=True)
class ExtractTarget:
    """Where archives are unpacked to, one over the other. `inside`: the only folder of theirs that is wanted."""

    folder: Path
    budget: ByteBudget
    files: dict[str, LocalFile]
    inside: str = ""
    layered: bool = False
    """Whether a later archive may replace and remove files of an earlier one."""


_DAMAGED = (
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


def unpack(archive: Path, kind: str, target: ExtractTarget) -> None:
    """Adds the archive's files to `target.files`. `kind`: `tar` or `zip`. Raises FetchFailed."""
    try:
        if kind == "zip":
            _unzip(archive, target)
        else:
            _untar(archive, target)
    except _DAMAGED as error:
        raise FetchFailed(UNSAFE_CONTENT, f"{ARCHIVE} is damaged or of another kind than {kind}") from error


class _BoundedReader(io.RawIOBase):
    """What is unpacked from a stream, as long as it's plausible for the size of the archive."""

    def __init__(self, stream: IO[bytes], packed_bytes: int, max_bytes: int) -> None:
        self._stream, self._packed_bytes, self._max_bytes = stream, packed_bytes, max_bytes

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(_MAX_HEADER_BYTES + 1 if size < 0 else min(size, _MAX_HEADER_BYTES + 1))
        if len(piece) > _MAX_HEADER_BYTES:
            sentence = f"{ARCHIVE} has a header of over {_MAX_HEADER_BYTES} bytes, which no model's has"
            raise FetchFailed(UNSAFE_CONTENT, sentence)
        self._check(self._stream.tell())
        return piece

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_SET:
            self._check(offset)
        try:
            return self._stream.seek(offset, whence)
        except OSError as error:
            # Before the beginning: the table of contents says so.
            raise ValueError("no such place in the archive") from error

    def tell(self) -> int:
        return self._stream.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def _check(self, position: int) -> None:
        # Headers and padding come on top of the files; a fixed part and a share of them is plenty.
        if position > self._max_bytes + self._max_bytes // 8 + 16 * PIECE_BYTES:
            raise FetchFailed(TOO_LARGE, f"{ARCHIVE} has more bytes than the limit, which is {self._max_bytes}")
        _check_ratio(position, self._packed_bytes)


def _untar(archive: Path, target: ExtractTarget) -> None:
    with _decompressed(archive) as plain:
        bounded = _BoundedReader(plain, archive.stat().st_size, target.budget.limit)
        extracted: set[str] = set()
        with tarfile.open(fileobj=cast(IO[bytes], bounded), mode="r:") as tar:
            for count, member in enumerate(tar):
                _check_count(count)
                _extract_member(tar, member, target, extracted)


@contextmanager
def _decompressed(archive: Path) -> Iterator[IO[bytes]]:
    with archive.open("rb") as file:
        begins = file.read(len(_ZSTD))
        file.seek(0)
        if begins.startswith(_GZIP):
            with gzip.GzipFile(fileobj=file) as unzipped:
                yield cast(IO[bytes], unzipped)
        elif begins == _ZSTD:
            with zstd.unpacked(file) as plain:
                yield plain
        else:
            yield file


def _extract_member(tar: tarfile.TarFile, member: tarfile.TarInfo, target: ExtractTarget, extracted: set[str]) -> None:
    name = member.name.removeprefix("./").rstrip("/")
    if member.isdir() and name in ("", "."):
        return
    if target.layered and _apply_whiteout(name, target, extracted):
        return
    if not member.isdir() and target.inside and f"{target.inside}/".startswith(f"{name}/"):
        raise unsafe(name, ARCHIVE, _member_problem(member) or "it is a file where the model's folder should be")
    if (inner := _inner_name(name, target)) is None:
        return
    if wrong := _member_problem(member):
        raise unsafe(name, ARCHIVE, wrong)
    safe_name(inner, ARCHIVE)
    if member.isdir():
        return
    file = tar.extractfile(member)
    if file is None:
        raise unsafe(name, ARCHIVE, "it is no plain file")
    _write(inner, member.size, file.read, target, extracted)


def _member_problem(member: tarfile.TarInfo) -> str:
    """What is wrong with it; empty for a plain file and for a folder."""
    problems = (
        (member.issym(), "it is a symbolic link"),
        (member.islnk(), "it is a hard link"),
        (member.isdev(), "it is a device"),
        (member.issparse() or not (member.isreg() or member.isdir()), "it is no plain file"),
    )
    return next((sentence for found, sentence in problems if found), "")


def _unzip(archive: Path, target: ExtractTarget) -> None:
    with archive.open("rb") as file:
        packed_bytes = archive.stat().st_size
        bounded = _BoundedReader(file, packed_bytes, packed_bytes)
        with zipfile.ZipFile(cast(IO[bytes], bounded)) as contents:
            _check_ratio(sum(info.file_size for info in contents.infolist()), packed_bytes)
            extracted: set[str] = set()
            for count, info in enumerate(contents.infolist()):
                _check_count(count)
                _extract_entry(contents, info, target, extracted)


def _extract_entry(
    contents: zipfile.ZipFile, info: zipfile.ZipInfo, target: ExtractTarget, extracted: set[str]
) -> None:
    name = info.filename.rstrip("/")
    if (inner := _inner_name(name, target)) is None:
        return
    safe_name(inner, ARCHIVE)
    mode = stat.S_IFMT(info.external_attr >> 16)
    if stat.S_ISLNK(mode):
        raise unsafe(name, ARCHIVE, "it is a symbolic link")
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise unsafe(name, ARCHIVE, "it is no plain file")
    if info.flag_bits & 1:
        raise unsafe(name, ARCHIVE, "it is encrypted")
    if not info.is_dir():
        with contents.open(info) as file:
            _write(inner, info.file_size, file.read, target, extracted)


def _check_ratio(unpacked_bytes: int, packed_bytes: int) -> None:
    if unpacked_bytes > RATIO_FROM_BYTES and unpacked_bytes > packed_bytes * MAX_RATIO:
        raise FetchFailed(UNSAFE_CONTENT, f"{ARCHIVE} has over {MAX_RATIO} times its size inside; it looks like a bomb")


def _check_count(count: int) -> None:
    if count >= MAX_ENTRIES:
        raise FetchFailed(UNSAFE_CONTENT, f"{ARCHIVE} has more than {MAX_ENTRIES} entries; pack the model only")


def _inner_name(name: str, target: ExtractTarget) -> str | None:
    """The name inside the wanted folder; None for what is elsewhere, and then it doesn't matter what it is."""
    if not target.inside:
        return name
    # In an image other folders may hold anything, links and devices too. None of it is touched.
    return name.removeprefix(f"{target.inside}/") if name.startswith(f"{target.inside}/") else None


def _apply_whiteout(name: str, target: ExtractTarget, extracted: Collection[str]) -> bool:
    """Whether the entry is a whiteout, which removes files of earlier layers, also by a folder above the wanted one."""
    folder, _, last = name.rpartition("/")
    prefix = f"{folder}/" if folder else ""
    if not last.startswith(_WHITEOUT):
        return False
    removed = prefix if last == _OPAQUE_WHITEOUT else f"{prefix}{last.removeprefix(_WHITEOUT)}/"
    above = f"{target.inside}/" if target.inside else ""
    for file in set(target.files) - set(extracted):
        if f"{above}{file}/".startswith(removed):
            _remove(file, target)
    return True


def _remove(name: str, target: ExtractTarget) -> None:
    local_file = target.files.pop(name)
    local_file.path.unlink()
    target.budget.remaining += local_file.size


def _write(name: str, size: int, read: Callable[[int], bytes], target: ExtractTarget, extracted: set[str]) -> None:
    if name in extracted:
        raise unsafe(name, ARCHIVE, "it is there twice")
    extracted.add(name)
    if name in target.files:
        if not target.layered:
            raise unsafe(name, ARCHIVE, "it is there twice")
        _remove(name, target)
    if len(target.files) >= MAX_FILES:
        raise FetchFailed(UNSAFE_CONTENT, f"{ARCHIVE} has more than {MAX_FILES} files; pack the model only")
    if not 0 <= size <= target.budget.remaining:
        raise FetchFailed(TOO_LARGE, f"{ARCHIVE} unpacks to more than {target.budget.limit} bytes, which is the limit")
    path = target.folder / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        target.files[name] = _copy(path, size, read, target)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise unsafe(name, ARCHIVE, "another entry is where it should go") from None


def _copy(path: Path, size: int, read: Callable[[int], bytes], target: ExtractTarget) -> LocalFile:
    digest, written = hashlib.sha256(), 0
    with path.open("xb") as file:
        while piece := read(min(PIECE_BYTES, size - written + 1)):
            written += len(piece)
            if written > size:
                raise unsafe(path.name, ARCHIVE, "it is longer than the archive says")
            digest.update(piece)
            file.write(piece)
    if written < size:
        raise FetchFailed(UNSAFE_CONTENT, f"{ARCHIVE} ends in the middle of {path.name!r}")
    target.budget.remaining -= written
    return LocalFile(path, digest.hexdigest(), written)


def only_folder(files: Mapping[str, LocalFile]) -> str:
    """The folder that all files are in, where archives wrap a model in one: `digits-7`, or `` where there is none."""
    if any(name.endswith(".onnx") and "/" not in name for name in files):
        return ""
    tops = {name.partition("/")[0] for name in files}
    return tops.pop() if len(tops) == 1 and all("/" in name for name in files) else ""
