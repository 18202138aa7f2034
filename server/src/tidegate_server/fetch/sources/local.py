"""file:// — a model on a volume that the pod mounts, and the reading of folders for every source that has one.

In a folder only plain files are taken, and links to such within it: another link or a device could lead anywhere.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.limits import MAX_FILES
from tidegate_server.fetch.report import NOT_FOUND, UNSAFE_CONTENT, UNSUPPORTED_URI
from tidegate_server.fetch.safe_names import safe_name, unsafe
from tidegate_server.fetch.sources.listing import Listing, SourceFile, Stream, single

# What file systems, Git and Kubernetes' own volumes put beside the files.
_IGNORED = frozenset({"lost+found", ".git"})
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


def find(uri: str, _environ: Mapping[str, str]) -> Listing:
    """The file or folder. Raises FetchFailed."""
    return list_path(local_path(uri))


def local_path(uri: str) -> Path:
    """The path of a `scheme:///path`. Raises FetchFailed."""
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise FetchFailed(UNSUPPORTED_URI, f"{uri} names the host {parts.netloc!r}; write {parts.scheme}:///path")
    return Path(unquote(parts.path))


def list_path(path: Path, top: Path | None = None) -> Listing:
    """A file, or all the files of a folder. Raises FetchFailed.

    `top`: a folder above it that others write to, so that nothing on the way from there may be a link.
    """
    with _open_errors(path):
        if path.is_dir():
            return Listing(tuple(_files(path, top or path)))
        status = path.stat()
        return single(SourceFile(path.name, partial(_open, top, path), status.st_size, _version(status)))


def _files(folder: Path, top: Path) -> Iterator[SourceFile]:
    for count, (name, path) in enumerate(_plain_files(folder, folder), 1):
        if count > MAX_FILES:
            raise FetchFailed(UNSAFE_CONTENT, f"the folder has more than {MAX_FILES} files; name the model's own")
        status = path.lstat()
        above = top if path.is_relative_to(top) else top.resolve()
        yield SourceFile(name, partial(_open, above, path), status.st_size, _version(status))


def _plain_files(folder: Path, top: Path) -> Iterator[tuple[str, Path]]:
    """Names in `top`, and where the files are: elsewhere within it, where a link stands at the name."""
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if entry.name in _IGNORED or entry.name.startswith(".."):
            continue
        path = Path(entry.path)
        name = safe_name(path.relative_to(top).as_posix(), "the folder")
        if entry.is_dir(follow_symlinks=False):
            yield from _plain_files(path, top)
            continue
        if entry.is_symlink():
            path = _target_within(path, name, top)
        _check_plain(name, path.lstat())
        yield name, path


def _target_within(link: Path, name: str, top: Path) -> Path:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):
        raise unsafe(name, "the folder", "it is a symbolic link to nothing") from None
    if not target.is_relative_to(top.resolve()):
        raise unsafe(name, "the folder", "it is a symbolic link that leads out of it (cp -L copies the file itself)")
    return target


def _check_plain(name: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise unsafe(name, "the folder", "it is no plain file")
    if status.st_nlink > 1:
        raise unsafe(name, "the folder", "it is hard-linked to another file")


@contextmanager
def _open(
    top: Path | None, path: Path, offset: int, _version_before: str | None, _end: int | None = None
) -> Iterator[Stream]:
    with _open_errors(path):
        descriptor = os.open(path, _READ) if top is None else _open_beneath(top, path)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise unsafe(path.name, "the model's folder", "it is no plain file")
    with os.fdopen(descriptor, "rb") as file:
        file.seek(offset)
        yield Stream(file.read, status.st_size, offset, _version(status))


def _open_beneath(top: Path, path: Path) -> int:
    """The file as it was when it was listed: nobody has put a link on the way to it since."""
    *folders, last = path.relative_to(top).parts
    with ExitStack() as stack:
        parent = os.open(top, _READ | os.O_DIRECTORY)
        stack.callback(os.close, parent)
        for folder in folders:
            parent = os.open(folder, _READ | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
            stack.callback(os.close, parent)
        return os.open(last, _READ | os.O_NOFOLLOW, dir_fd=parent)


@contextmanager
def _open_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FetchFailed(NOT_FOUND, f"can't open {path}: {reason}") from error


def _version(status: os.stat_result) -> str:
    return f"{status.st_dev}-{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"
