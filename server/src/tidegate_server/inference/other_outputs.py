"""Outputs that are no tensors, ZipMaps and sequences: the tensors that they are made of are served in their place.

The converters of scikit-learn, LightGBM and CatBoost end a classifier by a ZipMap: it turns a row of scores into a map
from class to score, and the output into a sequence of maps. Its input is the tensor of the same scores, so a node that
passes the tensor on stands in its place, under the same name, and its classes name the columns. A sequence made of
tensors, such as one of scores for each of several targets, becomes an output `NAME.0`, `NAME.1`, … for each of them.
Only those entries of the file are written anew, so weights of any size cost one copy and are never parsed here.
"""

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tidegate_server.onnx_file import fields, packed, signed

# Field numbers of onnx.proto.
_GRAPH = 7
_NODE, _OUTPUT = 1, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_OP, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 4, 5, 7
_ATTRIBUTE_NAME, _ATTRIBUTE_INTS, _ATTRIBUTE_STRINGS = 1, 8, 9
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TENSOR_TYPE, _ELEMENT_TYPE, _SHAPE, _DIMENSION, _SIZE = 1, 1, 2, 1, 1
_SEQUENCE_TYPE, _SEQUENCE_OF = 4, 1
_FLOAT = 1

Span = tuple[int, int]
"""Begin and end in the file."""


@dataclass(frozen=True)
class TensorInstead:
    """An output `name` with the tensor `source` of the graph. `classes` names its columns, where they have names."""

    name: str
    source: str
    element_type: int
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class OtherOutput:
    """An output that is no tensor: the node that makes it, its declaration, and what is served in its place."""

    name: str
    node: Span
    declaration: Span
    tensors: tuple[TensorInstead, ...]


def other_outputs(path: Path) -> tuple[OtherOutput, ...]:
    """Those at the end of the graph. The file has passed check_file."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        graphs = list(_spans(content, (0, len(content)), _GRAPH))
        if len(graphs) != 1:  # readers of protobuf would put them together, and nobody writes more than one
            return ()
        declared = {_text(content, span, _VALUE_NAME): span for span in _spans(content, graphs[0], _OUTPUT)}
        nodes = list(_spans(content, graphs[0], _NODE))
        found = [one for node in nodes if (one := _other_output(content, node, declared)) is not None]
        # What another node goes on with has to stay.
        used = {_decoded(content, given) for node in nodes if found for given in _spans(content, node, _NODE_INPUT)}
        return tuple(one for one in found if one.name not in used)


def with_tensors_instead(path: Path, found: tuple[OtherOutput, ...]) -> Iterator[bytes]:
    """The file, in pieces, with tensors as its outputs."""
    instead = {one.node: tuple(map(_node, one.tensors)) for one in found}
    instead |= {one.declaration: tuple(map(_declaration, one.tensors)) for one in found}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for number, begin, end in fields(content, 0, len(content)):
            if begin is None or number != _GRAPH:
                yield _field(number, end if begin is None else content[begin:end])
                continue
            length = sum(map(len, _with(content, (begin, end), instead)))
            yield _varint(number << 3 | 2) + _varint(length)
            yield from _with(content, (begin, end), instead)


def _with(content: mmap.mmap, graph: Span, instead: Mapping[Span, tuple[bytes, ...]]) -> Iterator[bytes]:
    for number, begin, end in fields(content, *graph):
        if begin is None:
            yield _field(number, end)
            continue
        for entry in instead.get((begin, end)) or (content[begin:end],):
            yield _field(number, entry)


def _other_output(content: mmap.mmap, node: Span, declared: Mapping[str, Span]) -> OtherOutput | None:
    name = _text(content, node, _NODE_OUTPUT)
    declaration = declared.get(name)
    if declaration is None:
        return None
    operator = (_text(content, node, _NODE_DOMAIN), _text(content, node, _NODE_OP))
    if operator == ("ai.onnx.ml", "ZipMap"):
        tensors = _scores(content, node)
    elif operator in (("", "SequenceConstruct"), ("ai.onnx", "SequenceConstruct")):
        tensors = _parts(content, node, declaration)
    else:
        return None
    return OtherOutput(name, node, declaration, tensors) if tensors else None


def _scores(content: mmap.mmap, node: Span) -> tuple[TensorInstead, ...]:
    classes = tuple(
        name for attribute in _spans(content, node, _NODE_ATTRIBUTE) for name in _classes(content, attribute)
    )
    source, name = _text(content, node, _NODE_INPUT), _text(content, node, _NODE_OUTPUT)
    return (TensorInstead(name, source, _FLOAT, classes),) if classes else ()


def _parts(content: mmap.mmap, node: Span, declaration: Span) -> tuple[TensorInstead, ...]:
    span: Span | None = declaration
    for field in (_VALUE_TYPE, _SEQUENCE_TYPE, _SEQUENCE_OF, _TENSOR_TYPE):
        span = None if span is None else next(_spans(content, span, field), None)
    kinds = [end for number, begin, end in fields(content, *span) if number == _ELEMENT_TYPE] if span else []
    name = _text(content, node, _NODE_OUTPUT)
    sources = [_decoded(content, given) for given in _spans(content, node, _NODE_INPUT)]
    return tuple(TensorInstead(f"{name}.{at}", source, kinds[0]) for at, source in enumerate(sources) if kinds)


def _classes(content: mmap.mmap, attribute: Span) -> Iterator[str]:
    name = _text(content, attribute, _ATTRIBUTE_NAME)
    if name == "classlabels_strings":
        yield from (_decoded(content, span) for span in _spans(content, attribute, _ATTRIBUTE_STRINGS))
    elif name == "classlabels_int64s":
        yield from (str(signed(number)) for number in _integers(content, attribute))


def _integers(content: mmap.mmap, attribute: Span) -> Iterator[int]:
    """One by one or packed: writers do both."""
    for number, begin, end in fields(content, *attribute):
        if number != _ATTRIBUTE_INTS:
            continue
        if begin is None:
            yield end
        else:
            yield from packed(content, begin, end)


def _node(tensor: TensorInstead) -> bytes:
    return (
        _field(_NODE_INPUT, tensor.source.encode())
        + _field(_NODE_OUTPUT, tensor.name.encode())
        + _field(_NODE_OP, b"Identity")
    )


def _declaration(tensor: TensorInstead) -> bytes:
    kind = _field(_ELEMENT_TYPE, tensor.element_type)
    if tensor.classes:
        kind += _field(_SHAPE, _field(_DIMENSION, b"") + _field(_DIMENSION, _field(_SIZE, len(tensor.classes))))
    return _field(_VALUE_NAME, tensor.name.encode()) + _field(_VALUE_TYPE, _field(_TENSOR_TYPE, kind))


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
