"""Whether rows of strangers may share a run: what the graph says, and then a probe that really tests something.

The probe runs rows alone and together. They differ in magnitude by four orders, so that whatever is taken over all rows
of a run shows; whole numbers span all that the model takes; and every output has to differ between rows, since equal
answers would agree in any company. Where that can't be had, nothing is known, and no run is shared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tidegate_server.errors import ModelFailed
from tidegate_server.inference.accepted_inputs import Accepted
from tidegate_server.inference.onnx_graph import GraphFile
from tidegate_server.inference.trial_runs import TrialRuns, numbers_in
from tidegate_server.protocol.signature import NUMPY_TYPES, Signature, TensorSpec
from tidegate_server.protocol.tensors import Array

TOLERANCE = 1e-3
"""By which a number of a batch may differ from that of a single run: other kernels add up in another order."""
HALF_TOLERANCE = 5e-3
"""Of numbers with 11 bits."""
MAGNITUDES = (0.01, 1.0, 100.0)
FEWEST_ROWS, MOST_ROWS, MOST_DRAWN = 2, 12, 60
MOST_IN_HASTE = 3
INTEGER_BOUNDS = (50_000, 256, 10)
"""Of every third row each: words, bytes, and counts, classes and flags."""
MAX_SECONDS = 2.0
MASKS = frozenset({"attention_mask", "input_mask", "mask"})
_WORDS = ("a", "row", "of several words", "x", "Anything else!", "2", "grün", "")

Row = dict[str, Array]


@dataclass(frozen=True)
class Independence:
    """`reason`: why no run is shared; empty where rows may."""

    reason: str = ""

    @property
    def shown(self) -> bool:
        """Whether rows may share a run."""
        return not self.reason


@dataclass
class _Rows:
    """Rows of one shape that the model took, and its answers to each alone."""

    rows: list[Row] = field(default_factory=list)
    answers: list[Row] = field(default_factory=list)
    made_up: list[bool] = field(default_factory=list)

    def drop(self, position: int) -> None:
        """As if it had not been tried."""
        for kept in (self.rows, self.answers, self.made_up):
            del kept[position]


def probe(
    runs: TrialRuns, signature: Signature, accepted: Accepted, real: Sequence[Mapping[str, Array]], graph: GraphFile
) -> Independence:
    """`accepted` is a row that the model takes, `real` are requests as clients send them."""
    try:
        return Independence(_why_not(runs, signature, accepted, real, graph))
    except ModelFailed as error:
        return Independence(f"the model fails on rows that it takes alone: {error}")


def _why_not(
    runs: TrialRuns, signature: Signature, accepted: Accepted, real: Sequence[Mapping[str, Array]], graph: GraphFile
) -> str:
    groups = _groups(runs, signature, accepted, real, graph)
    for group in groups:
        if reason := _why_not_alone(group, signature):
            return reason
    for group in groups:
        if reason := _why_not_together(runs, group, signature):
            return reason
    same = [spec.name for spec in signature.outputs if not any(_differ(group, spec.name) for group in groups)]
    if same:
        rows = sum(len(group.rows) for group in groups)
        return (
            f"{rows} rows that were tried have one answer in output {same[0]}, which shows nothing; "
            "rows of a selftest.json would"
        )
    return ""


def _groups(
    runs: TrialRuns, signature: Signature, accepted: Accepted, real: Sequence[Mapping[str, Array]], graph: GraphFile
) -> list[_Rows]:
    """Real rows by their shapes, and made-up ones of the accepted shape, until every output differs."""
    until = runs.seconds_left - MAX_SECONDS
    by_shape: dict[tuple[tuple[int, ...], ...], _Rows] = {}
    for row in _split(real)[:MOST_ROWS]:
        if runs.seconds_left > until:
            _add(runs, by_shape.setdefault(_shapes(row), _Rows()), row)
    group = by_shape.setdefault(_shapes(accepted.arrays), _Rows())
    if not group.rows:
        _keep(group, accepted.arrays, accepted.outputs, made_up=True)
    draw = Draw(runs, signature, accepted.arrays, graph)
    for number in range(MOST_DRAWN):
        is_enough = all(_differ(group, spec.name) for spec in signature.outputs)
        in_haste = runs.is_slow or runs.seconds_left < until
        if (in_haste and number >= MOST_IN_HASTE) or (is_enough and (in_haste or number >= MOST_ROWS)):
            break
        _add(runs, group, draw.row(number), made_up=True)
    return [group for group in by_shape.values() if len(group.rows) > 1]


def _add(runs: TrialRuns, group: _Rows, row: Row, *, made_up: bool = False) -> None:
    """Of many that are alike, only those are kept that have another answer."""
    try:
        answer = runs.run(row)
    except ModelFailed:
        return
    full = len(group.rows) >= MOST_ROWS
    if full and all(any(are_close(array, other[name]) for other in group.answers) for name, array in answer.items()):
        return
    _keep(group, row, answer, made_up=made_up)


def _keep(group: _Rows, row: Row, answer: Row, *, made_up: bool) -> None:
    group.rows.append(row)
    group.answers.append(answer)
    group.made_up.append(made_up)


def _split(requests: Sequence[Mapping[str, Array]]) -> list[Row]:
    found = []
    for arrays in requests:
        counts = {array.shape[0] for array in arrays.values() if array.ndim}
        if len(counts) != 1 or any(not array.ndim for array in arrays.values()):
            continue
        found += [{name: array[row : row + 1] for name, array in arrays.items()} for row in range(counts.pop())]
    return found


def _shapes(row: Row) -> tuple[tuple[int, ...], ...]:
    return tuple(array.shape for array in row.values())


def _why_not_alone(group: _Rows, signature: Signature) -> str:
    for spec in signature.outputs:
        shapes = {answer[spec.name].shape for answer in group.answers}
        for shape in shapes:
            if not shape or shape[0] != 1:
                return f"output {spec.name} has shape {list(shape)} for one row"
        if len(shapes) > 1:
            return f"the size of output {spec.name} depends on a row's values"
    return ""


def _why_not_together(runs: TrialRuns, group: _Rows, signature: Signature) -> str:
    """In two orders: the answer may depend on a row's place too."""
    reason, is_again = "", False
    while len(group.rows) >= FEWEST_ROWS:
        order = list(range(len(group.rows)))[-_fitting(runs, len(group.rows)) :]
        if is_again:
            order.reverse()
        found = _first_difference(runs, group, signature, order)
        if found is None:
            if is_again or runs.is_slow:
                return ""
            is_again = True
            continue
        reason = found.reason
        if not (found.is_rounding and group.made_up[found.position]):
            return reason
        group.drop(found.position)  # numbers that no client sends; nothing of them depends on the rows beside them
    return reason


@dataclass(frozen=True)
class _Difference:
    """A row's answer isn't what it is alone."""

    reason: str
    position: int = -1
    is_rounding: bool = False
    """It is the same in any company of so many rows."""


def _first_difference(runs: TrialRuns, group: _Rows, signature: Signature, order: Sequence[int]) -> _Difference | None:
    together = runs.run(_joined(group, order))
    for spec in signature.outputs:
        array = together[spec.name]
        if array.ndim == 0 or array.shape[0] != len(order):
            return _Difference(f"output {spec.name} has shape {list(array.shape)} for {len(order)} rows")
        for place, position in enumerate(order):
            if not are_close(array[place : place + 1], group.answers[position][spec.name]):
                return _explained(runs, group, order, place, spec, array[place : place + 1])
    return None


def _joined(group: _Rows, order: Sequence[int]) -> Row:
    return {name: np.concatenate([group.rows[position][name] for position in order]) for name in group.rows[0]}


def _explained(
    runs: TrialRuns, group: _Rows, order: Sequence[int], place: int, spec: TensorSpec, found: Array
) -> _Difference:
    """Whether it comes by chance, by rounding, or by the rows beside it."""
    position = order[place]
    alone = group.answers[position][spec.name]
    if not are_close(runs.run(group.rows[position])[spec.name], alone):
        return _Difference(f"output {spec.name} differs from run to run for the same row")
    # Among copies of itself nothing is left of strangers, and the run is as large.
    elsewhere = runs.run(_joined(group, [position] * len(order)))[spec.name][place : place + 1]
    numbers = found.dtype.kind in "fiu" and found.shape == alone.shape
    most = f", by up to {np.nanmax(np.abs(found.astype(float) - alone.astype(float))):.3g}" if numbers else ""
    if numbers and np.array_equal(elsewhere, found, equal_nan=found.dtype.kind == "f"):
        return _Difference(f"a run of several rows rounds output {spec.name} in another way{most}", position, True)
    return _Difference(f"a row's output {spec.name} depends on the rows beside it{most}", position)


def _fitting(runs: TrialRuns, rows: int) -> int:
    while rows > 2 and not runs.fits(rows):
        rows -= 1
    return rows


def _differ(group: _Rows, name: str) -> bool:
    """Whether at least two rows have different answers."""
    answers = [answer[name] for answer in group.answers]
    return any(not are_close(answers[0], other) for other in answers[1:])


def are_close(left: Array, right: Array) -> bool:
    """Within a thousandth, of one or of the row's largest number if that is less."""
    if left.shape != right.shape:
        return False
    if left.dtype.kind != "f" or not left.size:
        return bool(np.array_equal(left, right))
    tolerance = HALF_TOLERANCE if left.dtype == np.float16 else TOLERANCE
    left, right = left.astype(np.float64), right.astype(np.float64)
    finite = np.abs(right[np.isfinite(right)])
    margin = tolerance * min(1.0, float(finite.max()) if finite.size else 1.0)
    return bool(np.allclose(left, right, rtol=tolerance, atol=margin, equal_nan=True))


class Draw:
    """Rows by chance, the same ones at every start."""

    def __init__(self, runs: TrialRuns, signature: Signature, accepted: Row, graph: GraphFile) -> None:
        self._specs, self._accepted = signature.inputs, accepted
        self._words = _words(graph)
        self._bounds = {
            spec.name: _integer_bound(runs, spec, accepted) for spec in signature.inputs if "INT" in spec.datatype
        }

    def row(self, number: int) -> Row:
        random = np.random.default_rng(number)
        return {spec.name: self._values(spec, number, random) for spec in self._specs}

    def _values(self, spec: TensorSpec, number: int, random: np.random.Generator) -> Array:
        shape = self._accepted[spec.name].shape
        if spec.datatype == "BYTES":
            return np.asarray(random.choice(np.array(self._words, dtype=np.object_), size=shape))
        if spec.name in self._bounds:
            return np.asarray(self._integers(spec, number, random), NUMPY_TYPES[spec.datatype])
        if spec.datatype == "BOOL":
            return np.asarray(random.integers(0, 2, size=shape), np.bool_)
        values = random.normal(size=shape) * MAGNITUDES[number % len(MAGNITUDES)]
        # Some graphs take a logarithm or a root.
        return np.asarray(np.abs(values) if number % 2 else values, NUMPY_TYPES[spec.datatype])

    def _integers(self, spec: TensorSpec, number: int, random: np.random.Generator) -> Array:
        shape, bound = self._accepted[spec.name].shape, self._bounds[spec.name]
        if spec.name.lower() in MASKS:
            return np.ones(shape, np.int64)
        return np.asarray(random.integers(0, min(bound, INTEGER_BOUNDS[number % len(INTEGER_BOUNDS)]), size=shape))


def _words(graph: GraphFile) -> list[str]:
    """The categories and words that the graph knows, and some of other lengths."""
    known = dict.fromkeys(word for node in graph.all_nodes() for word in node.strings)
    return [*list(known)[:64], *_WORDS]


def _integer_bound(runs: TrialRuns, spec: TensorSpec, accepted: Row) -> int:
    """One more than the largest number that the model takes in this input, by trying and by what the runtime names."""
    bound = min(INTEGER_BOUNDS[0], int(np.iinfo(np.dtype(NUMPY_TYPES[spec.datatype])).max) + 1)
    shape = accepted[spec.name].shape
    while bound > 2:
        random = np.random.default_rng(bound)
        values = random.integers(0, bound, size=shape).astype(NUMPY_TYPES[spec.datatype])
        values.reshape(-1)[-1:] = bound - 1
        try:
            runs.run({**accepted, spec.name: values})
        except ModelFailed as error:
            named = [number + 1 for number in numbers_in(error) if 2 <= number + 1 < bound]
            bound = max((number for number in named if number < bound - 1), default=bound // 4)
            continue
        return bound
    return 2
