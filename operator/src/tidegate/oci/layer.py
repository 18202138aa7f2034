"""A folder's files as a layer: the same files give the same bytes, whoever has them and when."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tidegate.oci.image import Layer

LEVEL = 6
"""Of compression."""
FILE_MODE, FOLDER_MODE = 0o644, 0o755


class _Hashed(io.RawIOBase):
    """Writes on to another file, and knows the digest of what has gone through."""

    def __init__(self, to: IO[bytes]) -> None:
        self._to, self.sha256, self.size = to, hashlib.sha256(), 0

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self.sha256.update(content)
        self.size += len(content)
        self._to.write(content)
        return len(content)


def write_layer(folder: Path, inside: str, target: Path) -> Layer:
    """Writes the packed layer that puts a folder's files into `inside` of an image; root's, and for all to read."""
    with target.open("wb") as file:
        packed = _Hashed(file)
        # Neither the name nor the time of day goes into the head.
        with gzip.GzipFile(filename="", mode="wb", compresslevel=LEVEL, fileobj=packed, mtime=0) as unpacked:
            plain = _Hashed(unpacked)  # type: ignore[arg-type]
            with tarfile.open(fileobj=plain, mode="w|", format=tarfile.GNU_FORMAT) as tar:
                for entry, path in _entries(folder, inside):
                    _add(tar, entry, path)
    return Layer(f"sha256:{packed.sha256.hexdigest()}", f"sha256:{plain.sha256.hexdigest()}", packed.size)


def _entries(folder: Path, inside: str) -> Iterator[tuple[tarfile.TarInfo, Path | None]]:
    above = inside.strip("/").split("/")
    for depth in range(1, len(above) + 1):
        yield _folder("/".join(above[:depth])), None
    for path in sorted(folder.rglob("*")):
        name = f"{inside.strip('/')}/{path.relative_to(folder).as_posix()}"
        if path.is_dir():
            yield _folder(name), None
            continue
        info = tarfile.TarInfo(name)
        info.mode, info.size = FILE_MODE, path.stat().st_size
        yield info, path


def _folder(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, FOLDER_MODE
    return info


def _add(tar: tarfile.TarFile, entry: tarfile.TarInfo, path: Path | None) -> None:
    if path is None:
        tar.addfile(entry)
        return
    with path.open("rb") as content:
        tar.addfile(entry, content)
