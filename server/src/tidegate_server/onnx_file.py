"""Looks into an ONNX file, without running it, for tensors that are kept in other files.

A model that names other files would make the server read whatever is at that path in the pod. The walk follows the
protobuf wire format and skips everything it needn't see, so weights of any size cost nothing.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

from tidegate_server.errors import ModelRefused

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_EXTERNAL = 1
_MAX_DEPTH = 100  # protobuf's own limit

# Field numbers of onnx.proto: which fields of a message lead on to messages that may hold tensors.
_PATHS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_DATA_LOCATION = 14


def check_file(path: Path) -> None:
    """Raises ModelRefused: NotOnnx for a file of another kind, UnsupportedModel for tensors outside the file."""
    if path.stat().st_size == 0:
        raise _not_onnx()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        try:
            if not any(field == 7 for field, _, _ in _fields(content, 0, len(content))):
                raise _not_onnx()
            external = _has_external(content, "model", 0, len(content), 0)
        except (ValueError, IndexError):
            raise _not_onnx() from None
    if external:
        raise ModelRefused(
            "UnsupportedModel",
            "the model keeps weights in other files; save it with all tensors inside the .onnx file",
        )


def _not_onnx() -> ModelRefused:
    return ModelRefused("NotOnnx", "the file isn't an ONNX model; check what the URI points to")


def _has_external(content: mmap.mmap, message: str, start: int, end: int, depth: int) -> bool:
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    onward = _PATHS[message]
    for field, begin, value in _fields(content, start, end):
        if message == "tensor" and field == _DATA_LOCATION and begin is None and value == _EXTERNAL:
            return True
        if field in onward and begin is not None and _has_external(content, onward[field], begin, value, depth + 1):
            return True
    return False


def _fields(content: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int | None, int]]:
    """Each field's number, and either the begin and end of its bytes, or None and its number."""
    at = start
    while at < end:
        key, at = _varint(content, at)
        field, wire = key >> 3, key & 7
        if wire == _BYTES:
            length, at = _varint(content, at)
            if at + length > end:
                raise ValueError("a field is longer than its message")
            yield field, at, at + length
            at += length
            continue
        if wire == _VARINT:
            value, at = _varint(content, at)
            yield field, None, value
            continue
        if wire not in (_FIXED64, _FIXED32):
            raise ValueError("not protobuf")
        at += 8 if wire == _FIXED64 else 4
        yield field, None, 0


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
