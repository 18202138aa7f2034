"""What every source returns: the files behind a URI, and their bytes from any offset.

A source opens nothing for its listing alone unless it must: the bytes come when a file is opened.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tidegate_server.fetch.cosign import CosignSignature


@dataclass(frozen=True)
class Stream:
    """`read(n)` gives up to n bytes, b"" at the end; it raises OSError or HTTPException.

    `size`: bytes of the whole file, None where the source doesn't say. `start`: where the stream begins, which is 0
    where the source can't begin in the middle, or where the file isn't the one of before. `version`: changes when the
    content does (an ETag, a digest); None where nothing does. `has_ranges`: several parts may be read at once.
    """

    read: Callable[[int], bytes]
    size: int | None
    start: int = 0
    version: str | None = None
    has_ranges: bool = False


class Open(Protocol):
    """Opens a file from an offset, on the condition that it is of the version that the bytes before are of."""

    def __call__(self, offset: int, version: str | None, end: int | None = None, /) -> AbstractContextManager[Stream]:
        """`end`: behind the last byte that is wanted; None for all there are."""
        ...


@dataclass(frozen=True)
class SourceFile:
    """A file that a source has. `name`: relative to the model's folder, with `/` between its parts, not yet checked.

    `archive`: what it has to be unpacked as, `tar` or `zip`; None for a file that is wanted as it is. `aside`: it is
    neither the model nor beside it (documents, code, data), and wanted only where everything is.
    """

    name: str
    open: Open
    size: int | None = None
    version: str | None = None
    sha256: str | None = None
    archive: str | None = None
    aside: bool = False


@dataclass(frozen=True)
class SignedDigest:
    """What a signature in a registry is over: a manifest's digest. `signatures` looks for those that are there."""

    digest: str
    signatures: Callable[[], Iterable[CosignSignature]]


@dataclass(frozen=True)
class Listing:
    """What a URI names.

    `single`: one file, and that is the model (or an archive of it). `find`: for a source that can't list its files,
    but may have one of this name. `resolved`: the URI that will always lead to this very content. `inside`: the
    folder, in what is unpacked, that the model is in. `usual`: the folder that it is in if what is unpacked has that.
    `in_place`: the model's path where nothing is to be copied. `signed`: what cosign may have signed; None for a source
    that isn't a registry of such signatures.
    """

    files: tuple[SourceFile, ...]
    single: bool = False
    find: Callable[[str], SourceFile] | None = None
    resolved: str | None = None
    inside: str = ""
    usual: str = ""
    in_place: Path | None = None
    signed: SignedDigest | None = None


def single(file: SourceFile) -> Listing:
    """A listing of one file, which is unpacked where its name says that it's an archive."""
    archive = archive_kind(file.name)
    if archive is None:
        return Listing((file,), single=True)
    return Listing((SourceFile(file.name, file.open, file.size, file.version, file.sha256, archive),), single=True)


def archive_kind(name: str) -> str | None:
    """`tar` (gzip or not) or `zip`, by a file's name; None for another file."""
    lower = name.lower()
    if lower.endswith((".tar", ".tar.gz", ".tgz")):
        return "tar"
    return "zip" if lower.endswith(".zip") else None
