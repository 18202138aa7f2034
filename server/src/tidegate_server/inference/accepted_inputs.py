"""Inputs that a model takes: real ones where there are any, else made up, of sizes that real graphs want.

Many graphs take one size of an image, a number of samples, or a sampling rate, and declare none of it. Which one, the
runtime's own sentence says when a run fails: the search tries the numbers that it names.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from tidegate_server.errors import ModelFailed
from tidegate_server.inference.trial_runs import TrialRuns, numbers_in
from tidegate_server.protocol.signature import NUMPY_TYPES, Signature, TensorSpec
from tidegate_server.protocol.tensors import Array

SIZES = (16, 1, 32, 64, 128, 224, 256, 512, 80, 160, 400, 640, 1024, 16000)
"""Of a dimension that the graph leaves open: images, samples, frames and tokens."""
SCALARS = (0, 16000, 1)
"""Of a whole number without dimensions: a sampling rate, most of the time."""
MAX_TRIES = 160
MAX_SECONDS = 2.5
MAX_ELEMENTS = 2**22
MAX_CHANGES = 3
"""Of sizes, away from where a search began."""

Variable = str | tuple[str, int]
"""A dimension's name, or where it is if it has none; all of one name have one size."""


@dataclass(frozen=True)
class Accepted:
    """Inputs and what the model answered to them; of one row where rows are free."""

    arrays: dict[str, Array]
    outputs: dict[str, Array]


@dataclass(frozen=True)
class Refused:
    """No inputs were found. `words` are the runtime's about the last that were tried."""

    words: str


def find_accepted(runs: TrialRuns, signature: Signature, real: Sequence[Mapping[str, Array]]) -> Accepted | Refused:
    """`real`: requests as clients send them, tried first."""
    words = "it has no inputs of a size that can be tried"
    for arrays in real:
        one_row = first_row(arrays) if signature.has_free_rows else dict(arrays)
        try:
            with runs.counting_bytes(1):
                return Accepted(one_row, runs.run(one_row))
        except ModelFailed as error:
            words = str(error)
    search = _Search(runs, signature)
    return search.find() or Refused(search.words or words)


def first_row(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Of every input."""
    return {name: array[:1] for name, array in arrays.items()}


def repeated(arrays: Mapping[str, Array], rows: int) -> dict[str, Array]:
    """One row, so many times."""
    if rows == 1:
        return dict(arrays)
    return {name: np.repeat(array, rows, axis=0) for name, array in arrays.items()}


class _Search:
    """Breadth first, from one size for all dimensions to sizes that the runtime named."""

    def __init__(self, runs: TrialRuns, signature: Signature) -> None:
        self._runs, self._inputs = runs, signature.required_inputs
        self._variables = [*dict.fromkeys(variable for spec in self._inputs for variable, _ in _open_axes(spec))]
        self._rows = {variable for spec in self._inputs for variable, axis in _open_axes(spec) if axis == 0}
        self._has_scalars = any(not spec.shape and _is_integer(spec) for spec in self._inputs)
        self._tried: set[tuple[int, ...]] = set()
        self.words = ""

    def find(self) -> Accepted | None:
        """None when nothing was taken within the bounds."""
        until = self._runs.seconds_left - MAX_SECONDS
        started = deque((sizes, 0) for sizes in self._starts())
        named: deque[tuple[tuple[int, ...], int]] = deque()
        while (named or started) and len(self._tried) < MAX_TRIES and self._runs.seconds_left > until:
            sizes, changes = named.popleft() if named else started.popleft()
            if sizes in self._tried:
                continue
            self._tried.add(sizes)
            found = self._try(sizes, fill=0)
            if isinstance(found, Accepted):
                return self._with_finite_outputs(found, sizes)
            if found is not None and changes < MAX_CHANGES:
                named.extend((other, changes + 1) for other in self._changed(sizes, numbers_in(found)))
        return None

    def _with_finite_outputs(self, found: Accepted, sizes: tuple[int, ...]) -> Accepted:
        """Ones where zeros aren't answered with numbers."""
        if are_finite(found.outputs):
            return found
        other = self._try(sizes, fill=1)
        return other if isinstance(other, Accepted) and are_finite(other.outputs) else found

    def _starts(self) -> Iterator[tuple[int, ...]]:
        for scalar in SCALARS if self._has_scalars else SCALARS[:1]:
            for size in SIZES if self._variables else SIZES[:1]:
                yield (*(1 if variable in self._rows else size for variable in self._variables), scalar)

    def _changed(self, sizes: tuple[int, ...], numbers: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """With one dimension of another size each."""
        wanted = [number for number in dict.fromkeys((*numbers, 1)) if 1 <= number <= 2**16]
        for position, variable in enumerate(self._variables):
            for number in wanted[:8]:
                if number != sizes[position] and (number == 1 or variable not in self._rows):
                    yield (*sizes[:position], number, *sizes[position + 1 :])

    def _try(self, sizes: tuple[int, ...], fill: int) -> Accepted | ModelFailed | None:
        chosen = dict(zip(self._variables, sizes, strict=False))
        arrays = {}
        for spec in self._inputs:
            shape = _shape(spec, chosen)
            if prod(shape) > MAX_ELEMENTS:
                return None
            arrays[spec.name] = _filled(spec, shape, fill if shape or not _is_integer(spec) else sizes[-1])
        try:
            with self._runs.counting_bytes(1):
                return Accepted(arrays, self._runs.run(arrays))
        except ModelFailed as error:
            self.words = str(error)
            return error


def _open_axes(spec: TensorSpec) -> Iterator[tuple[Variable, int]]:
    for axis, (size, name) in enumerate(zip(spec.shape, spec.dimensions, strict=True)):
        if size == -1:
            yield (name if isinstance(name, str) and name else (spec.name, axis)), axis


def _shape(spec: TensorSpec, chosen: Mapping[Variable, int]) -> tuple[int, ...]:
    shape = list(spec.shape)
    for variable, axis in _open_axes(spec):
        shape[axis] = chosen[variable]
    return tuple(shape)


def _filled(spec: TensorSpec, shape: tuple[int, ...], fill: int) -> Array:
    if spec.datatype == "BYTES":
        return np.full(shape, "", dtype=np.object_)
    return np.full(shape, fill, dtype=NUMPY_TYPES[spec.datatype])


def _is_integer(spec: TensorSpec) -> bool:
    return "INT" in spec.datatype


def are_finite(outputs: Mapping[str, Array]) -> bool:
    """Whether JSON can carry them."""
    return all(array.dtype.kind != "f" or bool(np.isfinite(array).all()) for array in outputs.values())
