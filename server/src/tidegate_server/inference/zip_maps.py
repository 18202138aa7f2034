"""Takes the ZipMaps out of a graph: the tensors before them are served, with the names of their columns.

The converters of scikit-learn, LightGBM and CatBoost end a classifier by a ZipMap: it turns a row of scores into a map
from class to score, and the output into a sequence of maps, which is no tensor. Its input is the tensor of the same
scores. So a node that passes the tensor on stands in its place, under the same name, and its classes name the columns.
Only those two entries of the file are written anew, so weights of any size cost one copy and are never parsed here.
"""

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tidegate_server.onnx_file import fields

# Field numbers of onnx.proto.
_GRAPH = 7
_NODE, _OUTPUT = 1, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_OP, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 4, 5, 7
_ATTRIBUTE_NAME, _ATTRIBUTE_INTS, _ATTRIBUTE_STRINGS = 1, 8, 9
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TENSOR_TYPE, _ELEMENT_TYPE, _SHAPE, _DIMENSION, _SIZE = 1, 1, 2, 1, 1
_FLOAT = 1
_DOMAIN = b"ai.onnx.ml"

Span = tuple[int, int]
"""Begin and end in the file."""


@dataclass(frozen=True)
class ZipMap:
    """One at the end of a graph: `scores` is the tensor before it, `classes` names that tensor's columns."""

    output: str
    scores: str
    classes: tuple[str, ...]
    node: Span
    declaration: Span
    """Of the output, with its type."""


def zip_maps(path: Path) -> tuple[ZipMap, ...]:
    """Those whose maps are outputs of the graph. The file has passed check_file."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        graphs = list(_spans(content, (0, len(content)), _GRAPH))
        if len(graphs) != 1:  # readers of protobuf would put them together, and nobody writes more than one
            return ()
        declared = {_text(content, span, _VALUE_NAME): span for span in _spans(content, graphs[0], _OUTPUT)}
        nodes = _spans(content, graphs[0], _NODE)
        return tuple(found for node in nodes if (found := _zip_map(content, node, declared)) is not None)


def without_zip_maps(path: Path, found: tuple[ZipMap, ...]) -> Iterator[bytes]:
    """The file, in pieces, with the tensors in place of the maps."""
    instead = {one.node: _node(one) for one in found} | {one.declaration: _declaration(one) for one in found}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for number, begin, end in fields(content, 0, len(content)):
            if begin is None or number != _GRAPH:
                yield _field(number, end if begin is None else content[begin:end])
                continue
            length = sum(map(len, _with(content, (begin, end), instead)))
            yield _varint(number << 3 | 2) + _varint(length)
            yield from _with(content, (begin, end), instead)


def _with(content: mmap.mmap, graph: Span, instead: Mapping[Span, bytes]) -> Iterator[bytes]:
    for number, begin, end in fields(content, *graph):
        if begin is None:
            yield _field(number, end)
        else:
            yield _field(number, instead.get((begin, end)) or content[begin:end])


def _zip_map(content: mmap.mmap, span: Span, declared: Mapping[str, Span]) -> ZipMap | None:
    if _text(content, span, _NODE_OP) != "ZipMap" or _text(content, span, _NODE_DOMAIN) != _DOMAIN.decode():
        return None
    output = _text(content, span, _NODE_OUTPUT)
    classes = tuple(
        name for attribute in _spans(content, span, _NODE_ATTRIBUTE) for name in _classes(content, attribute)
    )
    if output not in declared or not classes:
        return None
    return ZipMap(output, _text(content, span, _NODE_INPUT), classes, span, declared[output])


def _classes(content: mmap.mmap, attribute: Span) -> Iterator[str]:
    name = _text(content, attribute, _ATTRIBUTE_NAME)
    if name == "classlabels_strings":
        yield from (_decoded(content, span) for span in _spans(content, attribute, _ATTRIBUTE_STRINGS))
    elif name == "classlabels_int64s":
        yield from (str(number if number < 2**63 else number - 2**64) for number in _integers(content, attribute))


def _integers(content: mmap.mmap, attribute: Span) -> Iterator[int]:
    """One by one or packed: writers do both."""
    for number, begin, end in fields(content, *attribute):
        if number != _ATTRIBUTE_INTS:
            continue
        if begin is None:
            yield end
            continue
        at = begin
        while at < end:
            value = shift = 0
            while (byte := content[at]) >= 0x80:
                value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
            yield value | byte << shift
            at += 1


def _node(one: ZipMap) -> bytes:
    return _field(_NODE_INPUT, one.scores.encode()) + _field(_NODE_OUTPUT, one.output.encode()) + _field(4, b"Identity")


def _declaration(one: ZipMap) -> bytes:
    dimensions = _field(_DIMENSION, b"") + _field(_DIMENSION, _field(_SIZE, len(one.classes)))
    tensor = _field(_ELEMENT_TYPE, _FLOAT) + _field(_SHAPE, dimensions)
    return _field(_VALUE_NAME, one.output.encode()) + _field(_VALUE_TYPE, _field(_TENSOR_TYPE, tensor))


def _text(content: mmap.mmap, span: Span, field: int) -> str:
    """The first of that field; empty where there is none."""
    return next((_decoded(content, found) for found in _spans(content, span, field)), "")


def _spans(content: mmap.mmap, span: Span, field: int) -> Iterator[Span]:
    yield from ((begin, end) for number, begin, end in fields(content, *span) if number == field and begin is not None)


def _decoded(content: mmap.mmap, span: Span) -> str:
    return content[slice(*span)].decode("utf-8", "replace")


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)
