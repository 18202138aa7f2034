"""Looks into an ONNX file, without running it, for tensors that are kept in other files.

A model that names other files would make the server read whatever is at that path in the pod. So such files have to be
plain ones inside the model's own folder, and that is settled here, before the runtime sees the model. The walk follows
the protobuf wire format and skips everything it needn't see, so weights of any size cost nothing.
"""

import mmap
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tidegate_server.errors import ModelRefused

MAX_NAME = 1024
"""Characters in a file's name with its folders."""
MAX_FOLDERS = 16
"""Folders that may lie inside one another."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_EXTERNAL = 1
_MAX_DEPTH = 100  # protobuf's own limit
_MAX_LOCATIONS = 1000

# Field numbers of onnx.proto: which fields of a message lead on to messages that may hold tensors.
_PATHS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
    "entry": {},
}
_GRAPH = 7
_MODEL_FIELDS = frozenset({*range(1, 9), 14, 20, 25, 26})
_DATA_LOCATION = 14
_ENTRY_KEY, _ENTRY_VALUE = 1, 2


def check_file(path: Path) -> tuple[str, ...]:
    """The files that the model keeps weights in, each a plain one inside the model's folder.

    Raises ModelRefused: NotOnnx for a file of another kind, UnsafeContent for weights outside that folder.
    """
    locations = external_locations(path)
    for location in locations:
        _check_location(path.parent, location)
    return locations


def external_locations(path: Path) -> tuple[str, ...]:
    """The files that the model keeps weights in, as it names them: sorted, none twice, and checked by nobody yet.

    Raises ModelRefused: NotOnnx for a file of another kind, UnsafeContent where a tensor doesn't say in which file.
    """
    if path.stat().st_size == 0:
        raise _not_onnx()
    found = _Found()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        try:
            _require_whole_graph(content)
            _walk(content, "model", 0, len(content), 0, found)
        except _Truncated:
            raise ModelRefused(
                "NotOnnx", f"the file ends after {len(content)} bytes, in the middle of the model; bring it again"
            ) from None
        except (ValueError, IndexError):
            raise _not_onnx() from None
    return tuple(sorted(found.locations)) if found.external else ()


def why_unsafe(name: str) -> str:
    """What is wrong with a file's name from elsewhere, as in `it has '..' in it`; empty for a plain relative one."""
    parts = name.split("/")
    if not name or name.startswith("/"):
        return "it is absolute" if name else "it is empty"
    if len(name) > MAX_NAME or any(len(part.encode("utf-8", "surrogateescape")) > 255 for part in parts):
        return "it is too long"
    if len(parts) > MAX_FOLDERS + 1:
        return f"it has more than {MAX_FOLDERS} folders"
    if ".." in parts:
        return "it has '..' in it"
    if "." in parts or "" in parts:
        return "it has an empty part in it"
    # The runtime takes "*/_ORT_MEM_ADDR_/*" for an address in its memory; a backslash is a folder to some readers.
    if not name.isprintable() or set(name) & set("\\*:"):
        return "it has characters that a file's name must not have"
    return ""


@dataclass
class _Found:
    external: bool = False
    locations: set[str] = field(default_factory=set)


def _check_location(folder: Path, location: str) -> None:
    if wrong := why_unsafe(location):
        raise _unsafe(location, wrong)
    try:
        place = (folder / location).resolve(strict=True)
        seen = place.stat()
    except (OSError, ValueError, RuntimeError):
        raise ModelRefused(
            "UnsupportedModel",
            f"the model keeps weights in {location!r}, which isn't beside it; name the folder that has both",
        ) from None
    if not place.is_relative_to(folder.resolve()):
        raise _unsafe(location, "a symbolic link leads out of the model's folder", _COPY)
    if not stat.S_ISREG(seen.st_mode):
        raise _unsafe(location, "it is no plain file")
    if seen.st_nlink > 1:
        raise _unsafe(location, "it is hard-linked to another file", _COPY)


_COPY = "copy the file itself there (cp -L)"


def _unsafe(location: str, wrong: str, remedy: str = "save it with its weights beside the .onnx file") -> ModelRefused:
    return ModelRefused("UnsafeContent", f"the model keeps weights in {location[:100]!r}, and {wrong}; {remedy}")


class _Truncated(ValueError):
    """There is less of the file than it says itself."""


def _require_whole_graph(content: mmap.mmap) -> None:
    """Raises _Truncated, and ValueError for what isn't a model at all."""
    at, has_graph = 0, False
    while at < len(content):
        key, at = _varint(content, at)
        number, wire = key >> 3, key & 7
        if number not in _MODEL_FIELDS or wire not in (_VARINT, _BYTES):
            raise ValueError("not a model")
        value, at = _varint(content, at)
        has_graph = has_graph or number == _GRAPH
        if wire == _BYTES:
            at += value
    if not has_graph:
        raise ValueError("without a graph")
    if at > len(content):
        raise _Truncated


def _not_onnx() -> ModelRefused:
    return ModelRefused("NotOnnx", "the file isn't an ONNX model; check what the URI points to")


def _walk(content: mmap.mmap, message: str, start: int, end: int, depth: int, found: _Found) -> None:
    """Takes every location there is. Where a tensor comes in pieces, protobuf's readers put them together."""
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    onward = _PATHS[message]
    for number, begin, value in fields(content, start, end):
        if message == "tensor" and number == _DATA_LOCATION and begin is None and value == _EXTERNAL:
            found.external = True
            if not _has_location(content, start, end):
                raise ModelRefused("UnsafeContent", "a tensor of the model is in another file and doesn't say in which")
        if number not in onward or begin is None:
            continue
        if onward[number] == "entry":
            _take_location(content, begin, value, found)
        else:
            _walk(content, onward[number], begin, value, depth + 1, found)


def _has_location(content: mmap.mmap, start: int, end: int) -> bool:
    entries = ((begin, value) for number, begin, value in fields(content, start, end) if number == 13)
    return any(begin is not None and _entry(content, begin, stop)[0] == b"location" for begin, stop in entries)


def _take_location(content: mmap.mmap, start: int, end: int, found: _Found) -> None:
    key, value = _entry(content, start, end)
    if key != b"location":
        return
    # Some exporters say where they are: "./model.onnx_data".
    found.locations.add(re.sub(r"^(\./)+", "", value.decode("utf-8", "backslashreplace")))
    if len(found.locations) > _MAX_LOCATIONS:
        raise ModelRefused("UnsafeContent", f"the model keeps weights in more than {_MAX_LOCATIONS} files; save fewer")


def _entry(content: mmap.mmap, start: int, end: int) -> tuple[bytes, bytes]:
    """Key and value; of what is there twice the last one counts, as for protobuf's readers."""
    key = value = b""
    for number, begin, stop in fields(content, start, end):
        if begin is None:
            continue
        if number == _ENTRY_KEY:
            key = content[begin : min(stop, begin + 64)]
        if number == _ENTRY_VALUE:
            value = content[begin : min(stop, begin + 4 * MAX_NAME + 1)]
    return key, value


def fields(content: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int | None, int]]:
    """Each field's number, and either the begin and end of its bytes, or None and its number."""
    at = start
    while at < end:
        key, at = _varint(content, at)
        number, wire = key >> 3, key & 7
        if wire == _BYTES:
            length, at = _varint(content, at)
            if at + length > end:
                raise ValueError("a field is longer than its message")
            yield number, at, at + length
            at += length
            continue
        if wire == _VARINT:
            value, at = _varint(content, at)
            yield number, None, value
            continue
        if wire not in (_FIXED64, _FIXED32):
            raise ValueError("not protobuf")
        at += 8 if wire == _FIXED64 else 4
        yield number, None, 0


def packed(content: mmap.mmap, start: int, end: int) -> Iterator[int]:
    """The whole numbers of a field that has several of them, up to the first that is none."""
    value = shift = 0
    for at in range(start, end):
        byte = content[at]
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield value
            value = shift = 0
        elif shift > 63:
            return


def signed(value: int) -> int:
    """An int64, which travels as a number without a sign."""
    return value - 2**64 if value >= 2**63 else value


def _varint(content: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")
