"""Which operators a graph uses, without loading its weights."""

import mmap
from collections.abc import Iterator
from pathlib import Path

from tidegate_server.onnx_file import fields

TIME_DEPENDS_ON_VALUES = frozenset(
    {
        "Loop",
        "Scan",
        "If",
        "Range",
        "ConstantOfShape",
        "Expand",
        "Tile",
        "Pad",
        "Resize",
        "Upsample",
        "OneHot",
        "RandomNormalLike",
        "RandomUniformLike",
        "NonMaxSuppression",
    }
)
"""Operators that one small input can make run for long, by its values."""

TAKES_MISSING_VALUES = frozenset(
    {"TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor", "Imputer", "IsNaN"}
)
"""Operators that do something sensible with NaN: a branch of its own, or a value in its place."""

_DEEPEST = 32
# Field numbers of onnx.proto.
_MODEL_GRAPH, _MODEL_FUNCTION, _FUNCTION_NODE, _GRAPH_NODE = 7, 25, 7, 1
_NODE_OP, _NODE_ATTRIBUTE, _NODE_DOMAIN, _ATTRIBUTE_GRAPHS = 4, 5, 7, (6, 11)


def operators(path: Path) -> frozenset[tuple[str, str]]:
    """Domain and name of every operator, in graphs within graphs too. The file has passed check_file."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        found: set[tuple[str, str]] = set()
        for field, begin, end in fields(content, 0, len(content)):
            if begin is not None and field in (_MODEL_GRAPH, _MODEL_FUNCTION):
                nodes = _GRAPH_NODE if field == _MODEL_GRAPH else _FUNCTION_NODE
                found.update(_in_nodes(content, nodes, begin, end, 0))
        return frozenset(found)


def has_data_dependent_time(path: Path) -> bool:
    """True for operators of unknown domains too."""
    return any(
        domain not in ("", "ai.onnx", "ai.onnx.ml") or name in TIME_DEPENDS_ON_VALUES
        for domain, name in operators(path)
    )


def takes_missing_values(path: Path) -> bool:
    """Whether a graph's author expects inputs with NaN."""
    return any(name in TAKES_MISSING_VALUES for _, name in operators(path))


def _in_nodes(content: mmap.mmap, nodes: int, begin: int, end: int, depth: int) -> Iterator[tuple[str, str]]:
    if depth > _DEEPEST:
        return
    for field, start, stop in fields(content, begin, end):
        if field == nodes and start is not None:
            yield from _of_node(content, start, stop, depth)


def _of_node(content: mmap.mmap, begin: int, end: int, depth: int) -> Iterator[tuple[str, str]]:
    name = domain = ""
    for field, start, stop in fields(content, begin, end):
        if start is None:
            continue
        if field == _NODE_OP:
            name = content[start:stop].decode("utf-8", "replace")
        elif field == _NODE_DOMAIN:
            domain = content[start:stop].decode("utf-8", "replace")
        elif field == _NODE_ATTRIBUTE:
            for inner, inner_start, inner_stop in fields(content, start, stop):
                if inner in _ATTRIBUTE_GRAPHS and inner_start is not None:
                    yield from _in_nodes(content, _GRAPH_NODE, inner_start, inner_stop, depth + 1)
    yield domain, name
