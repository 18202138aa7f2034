"""Whether a graph has operators by which rows of one run change one another, or one another's sizes. Pure.

A probe can only show that rows mix, never that they don't: a scale that is taken over all rows moves a class only now
and then. So what is known of an operator goes before what was tried. It counts only where the operator's input depends
on the values of a request: on shapes alone, as in many exporters' masks, all rows have the same.
"""

from collections.abc import Iterable, Mapping

from tidegate_server.inference.onnx_graph import Graph, GraphFile, Node

_ONE_SCALE = "scales all rows of a run by one number"
_ONE_STATISTIC = "takes mean and variance over all rows of a run"
_SIZE_BY_VALUES = "makes a tensor whose size depends on the values of all rows of a run"
_ONE_DECISION = "decides for all rows of a run at once"
_UNTIL_ALL_END = "generates until all rows of a run have ended"

_ALWAYS: Mapping[str, str] = {
    "DynamicQuantizeLinear": _ONE_SCALE,
    "DynamicQuantizeMatMul": _ONE_SCALE,
    "DynamicQuantizeLSTM": _ONE_SCALE,
    "QAttention": _ONE_SCALE,
    "NonZero": _SIZE_BY_VALUES,
    "Compress": _SIZE_BY_VALUES,
    "Unique": _SIZE_BY_VALUES,
    "NonMaxSuppression": _SIZE_BY_VALUES,
    "StringSplit": _SIZE_BY_VALUES,
    "RemovePadding": _SIZE_BY_VALUES,
    "BeamSearch": _UNTIL_ALL_END,
    "WhisperBeamSearch": _UNTIL_ALL_END,
    "GreedySearch": _UNTIL_ALL_END,
    "Sampling": _UNTIL_ALL_END,
}
_DYNAMIC_SCALES: Mapping[str, tuple[int, ...]] = {"MatMulIntegerToFloat": (2, 3), "QuantizeLinear": (1,)}
"""Harmless as long as their scales, at these inputs, are the file's."""
_SIZES: Mapping[str, tuple[int, ...]] = {
    "Range": (0, 1, 2),
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "Tile": (1, 2),
    "Pad": (1,),
    "Resize": (1, 2, 3),
    "Upsample": (1,),
    "Slice": (1, 2, 4),
    "Reshape": (1,),
    "OneHot": (1,),
    "TopK": (1,),
    "Split": (1,),
    "SplitToSequence": (1,),
    "CenterCropPad": (1,),
    "MaxUnpool": (2,),
    "DFT": (1,),
    "STFT": (1, 3),
}
"""Which inputs say how large the output is."""
_SHAPES_ONLY = frozenset({"Shape", "Size"})
_BODY_PASSES = 8


def why_rows_mix(file: GraphFile) -> str | None:
    """The operator and what it does, for a sentence; None where no operator is known to mix rows."""
    return _Values(file.functions).of_graph(file.graph, set(file.graph.inputs), 0)


class _Values:
    """Follows what depends on the values of a request."""

    _DEEPEST = 16

    def __init__(self, functions: Mapping[tuple[str, str], Graph]) -> None:
        self._functions = functions

    def of_graph(self, graph: Graph, dependent: set[str], depth: int) -> str | None:
        """The first mixing operator. Adds to `dependent` what depends on it."""
        for node in graph.nodes:
            if reason := self._of_node(node, dependent, depth):
                return reason
        return None

    def _of_node(self, node: Node, dependent: set[str], depth: int) -> str | None:
        takes = [name in dependent for name in node.inputs]
        if reason := _of_operator(node, takes):
            return f"{node.operator} {reason}"
        function = self._functions.get((node.domain, node.operator))
        if function is not None:
            return self._of_function(node, function, takes, dependent, depth)
        if node.graphs:
            return self._of_bodies(node, takes, dependent, depth)
        if any(takes) and node.operator not in _SHAPES_ONLY:
            dependent.update(node.outputs)
        return None

    def _of_function(
        self, node: Node, function: Graph, takes: list[bool], dependent: set[str], depth: int
    ) -> str | None:
        inside = {name for name, taken in zip(function.inputs, takes, strict=False) if taken}
        if depth >= self._DEEPEST:
            return None
        reason = self.of_graph(function, inside, depth + 1)
        dependent.update(outer for outer, name in zip(node.outputs, function.outputs, strict=False) if name in inside)
        return reason

    def _of_bodies(self, node: Node, takes: list[bool], dependent: set[str], depth: int) -> str | None:
        if depth >= self._DEEPEST:
            dependent.update(node.outputs)
            return None
        for body in node.graphs:
            inside = dependent | _fed(node, body, takes)
            for _ in range(_BODY_PASSES):  # what one turn of a loop gives the next one takes
                before = len(inside)
                if reason := self.of_graph(body, inside, depth + 1):
                    return reason
                inside |= _carried(node, body, inside)
                if len(inside) == before:
                    break
            if node.operator == "Loop" and body.outputs[:1] and body.outputs[0] in inside:
                return f"Loop {_ONE_DECISION}"
            if any(name in inside for name in body.outputs):
                dependent.update(node.outputs)
        if any(takes):
            dependent.update(node.outputs)
        return None


def _of_operator(node: Node, takes: list[bool]) -> str | None:
    if not any(takes):
        return None
    operator = node.operator
    if operator in _ALWAYS:
        return _ALWAYS[operator]
    if _any_at(takes, _DYNAMIC_SCALES.get(operator, ())):
        return _ONE_SCALE
    if operator in ("If", "Loop") and _any_at(takes, (0,) if operator == "If" else (0, 1)):
        return _ONE_DECISION
    if operator == "BatchNormalization" and (_one(node, "training_mode") or len([*filter(None, node.outputs)]) > 1):
        return _ONE_STATISTIC
    if operator == "MeanVarianceNormalization" and 0 in node.integers.get("axes", (0, 2, 3)):
        return _ONE_STATISTIC
    return _SIZE_BY_VALUES if _any_at(takes, _SIZES.get(operator, ())) else None


def _any_at(takes: list[bool], positions: Iterable[int]) -> bool:
    return any(takes[position] for position in positions if position < len(takes))


def _one(node: Node, attribute: str) -> bool:
    return node.integers.get(attribute) == (1,)


def _fed(node: Node, body: Graph, takes: list[bool]) -> set[str]:
    """What of a body's own inputs depends on values before the first turn."""
    if node.operator == "Loop":  # its third input is the body's third: a number, a condition, and what is carried
        return {name for name, taken in zip(body.inputs, takes, strict=False) if taken}
    return set(body.inputs) if any(takes) else set()


def _carried(node: Node, body: Graph, inside: set[str]) -> set[str]:
    """Inputs of the next turn that depend on values after this one."""
    if node.operator == "Loop":
        pairs = zip(body.inputs[1:], body.outputs, strict=False)
        return {name for name, given in pairs if given in inside}
    return set(body.inputs) if any(name in inside for name in body.outputs) else set()
