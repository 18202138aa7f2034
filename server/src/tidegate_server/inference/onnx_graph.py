"""The nodes of an ONNX file, without its weights."""

import mmap
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tidegate_server.onnx_file import fields, packed, signed

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
STANDARD_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})

TAKES_MISSING_VALUES = frozenset(
    {"TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor", "Imputer", "IsNaN"}
)
"""Operators that do something sensible with NaN: a branch of its own, or a value in its place."""

Operators = frozenset[tuple[str, str]]
"""Domain and name of each."""

_DEEPEST = 32
MAX_STRINGS = 64
MAX_INTEGERS = 64
"""Of one attribute: a forest of trees has millions, and none of them says anything here."""
# Field numbers of onnx.proto.
_MODEL_GRAPH, _MODEL_FUNCTION = 7, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 5, 11, 12
_FUNCTION_NAME, _FUNCTION_INPUT, _FUNCTION_OUTPUT, _FUNCTION_NODE, _FUNCTION_DOMAIN = 1, 4, 5, 7, 10
_NODE_INPUT, _NODE_OUTPUT, _NODE_OP, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 4, 5, 7
_ATTRIBUTE_NAME, _ATTRIBUTE_INT, _ATTRIBUTE_INTS, _ATTRIBUTE_STRINGS, _ATTRIBUTE_GRAPHS = 1, 3, 8, 9, (6, 11)
_VALUE_NAME, _TENSOR_NAME = 1, 8


@dataclass(frozen=True)
class Node:
    """One operator with the names of what it takes and gives."""

    domain: str
    operator: str
    inputs: tuple[str, ...] = ()
    """Empty for one that is left out."""
    outputs: tuple[str, ...] = ()
    integers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Attributes that are one or several whole numbers; of many the first."""
    strings: tuple[str, ...] = ()
    """The first of all attributes' strings: categories, words."""
    graphs: tuple["Graph", ...] = ()
    """An operator's bodies, which see the names around them."""


@dataclass(frozen=True)
class Graph:
    """Nodes in an order in which each comes after those that it takes something from."""

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    """Without those that have a value in the file."""
    outputs: tuple[str, ...]

    def all_nodes(self) -> Iterator[Node]:
        """Those of bodies too."""
        for node in self.nodes:
            yield node
            for body in node.graphs:
                yield from body.all_nodes()


@dataclass(frozen=True)
class GraphFile:
    """A model's graph and the functions that come with it, by domain and name."""

    graph: Graph
    functions: Mapping[tuple[str, str], Graph]

    def all_nodes(self) -> Iterator[Node]:
        """Those of bodies and functions too."""
        yield from self.graph.all_nodes()
        for function in self.functions.values():
            yield from function.all_nodes()


def read_graph(path: Path) -> GraphFile:
    """The file has passed check_file."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        graph, functions = Graph((), (), ()), {}
        for number, begin, end in fields(content, 0, len(content)):
            if begin is None:
                continue
            if number == _MODEL_GRAPH:
                graph = _graph(content, begin, end, 0)
            elif number == _MODEL_FUNCTION:
                name, function = _function(content, begin, end)
                functions[name] = function
        return GraphFile(graph, functions)


def operators(path: Path) -> Operators:
    """All that there are, in graphs within graphs too. The file has passed check_file."""
    return frozenset((node.domain, node.operator) for node in read_graph(path).all_nodes())


def has_data_dependent_time(used: Operators, known: Collection[str] = STANDARD_DOMAINS) -> bool:
    """True for operators of domains that aren't `known`, too."""
    return any(domain not in known or name in TIME_DEPENDS_ON_VALUES for domain, name in used)


def takes_missing_values(used: Operators) -> bool:
    """Whether a graph's author expects inputs with NaN."""
    return any(name in TAKES_MISSING_VALUES for _, name in used)


def _graph(content: mmap.mmap, begin: int, end: int, depth: int) -> Graph:
    nodes: list[Node] = []
    names: dict[int, list[str]] = {_GRAPH_INPUT: [], _GRAPH_OUTPUT: [], _GRAPH_INITIALIZER: []}
    for number, start, stop in fields(content, begin, end):
        if start is None:
            continue
        if number == _GRAPH_NODE and depth <= _DEEPEST:
            nodes.append(_node(content, start, stop, depth))
        elif number in names:
            wanted = _TENSOR_NAME if number == _GRAPH_INITIALIZER else _VALUE_NAME
            names[number].append(next(_texts(content, start, stop, wanted), ""))
    has_value = set(names[_GRAPH_INITIALIZER])
    inputs = tuple(name for name in names[_GRAPH_INPUT] if name not in has_value)
    return Graph(tuple(nodes), inputs, tuple(names[_GRAPH_OUTPUT]))


def _function(content: mmap.mmap, begin: int, end: int) -> tuple[tuple[str, str], Graph]:
    nodes = [
        _node(content, start, stop, 0)
        for number, start, stop in fields(content, begin, end)
        if number == _FUNCTION_NODE and start is not None
    ]
    domain = next(_texts(content, begin, end, _FUNCTION_DOMAIN), "")
    name = next(_texts(content, begin, end, _FUNCTION_NAME), "")
    inputs, outputs = (tuple(_texts(content, begin, end, number)) for number in (_FUNCTION_INPUT, _FUNCTION_OUTPUT))
    return (domain, name), Graph(tuple(nodes), inputs, outputs)


def _node(content: mmap.mmap, begin: int, end: int, depth: int) -> Node:
    texts: dict[int, list[str]] = {_NODE_INPUT: [], _NODE_OUTPUT: [], _NODE_OP: [], _NODE_DOMAIN: []}
    integers: dict[str, tuple[int, ...]] = {}
    strings: list[str] = []
    graphs: list[Graph] = []
    for number, start, stop in fields(content, begin, end):
        if start is None:
            continue
        if number in texts:
            texts[number].append(_text(content, start, stop))
        elif number == _NODE_ATTRIBUTE:
            attribute = _attribute(content, start, stop, depth)
            integers[attribute.name] = tuple(attribute.integers)
            strings += attribute.strings
            graphs += attribute.graphs
    return Node(
        domain="".join(texts[_NODE_DOMAIN][-1:]),
        operator="".join(texts[_NODE_OP][-1:]),
        inputs=tuple(texts[_NODE_INPUT]),
        outputs=tuple(texts[_NODE_OUTPUT]),
        integers=integers,
        strings=tuple(strings[:MAX_STRINGS]),
        graphs=tuple(graphs),
    )


@dataclass
class _Attribute:
    name: str = ""
    integers: list[int] = field(default_factory=list)
    strings: list[str] = field(default_factory=list)
    graphs: list[Graph] = field(default_factory=list)


def _attribute(content: mmap.mmap, begin: int, end: int, depth: int) -> _Attribute:
    """In one pass: some have millions of entries. Whole numbers may be packed into one field."""
    found = _Attribute()
    for number, start, stop in fields(content, begin, end):
        if number in (_ATTRIBUTE_INT, _ATTRIBUTE_INTS):
            if (missing := MAX_INTEGERS - len(found.integers)) > 0:
                given = [stop] if start is None else islice(packed(content, start, stop), missing)
                found.integers += map(signed, given)
        elif start is None:
            continue
        elif number == _ATTRIBUTE_STRINGS:
            if len(found.strings) < MAX_STRINGS:
                found.strings.append(_text(content, start, stop))
        elif number in _ATTRIBUTE_GRAPHS:
            found.graphs.append(_graph(content, start, stop, depth + 1))
        elif number == _ATTRIBUTE_NAME:
            found.name = found.name or _text(content, start, stop)
    return found


def _texts(content: mmap.mmap, begin: int, end: int, wanted: int) -> Iterator[str]:
    for number, start, stop in fields(content, begin, end):
        if number == wanted and start is not None:
            yield _text(content, start, stop)


def _text(content: mmap.mmap, begin: int, end: int) -> str:
    return content[begin:end].decode("utf-8", "replace")
