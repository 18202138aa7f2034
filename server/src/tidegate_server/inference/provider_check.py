"""Holds the answers of execution providers against the CPU's own, before anybody gets one.

A provider may compute whole numbers in 32 bits, lose NaN, or answer what the CPU refuses, and say so nowhere.
Tried are the inputs that the warm-up goes by, made-up ones of three magnitudes, the self-test's requests, whole numbers
beyond 32 bits, and NaN.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tidegate_server.errors import ModelFailed
from tidegate_server.inference.model import Model
from tidegate_server.inference.onnx_graph import read_graph
from tidegate_server.inference.row_independence import MASKS, TOLERANCE, Draw, are_close
from tidegate_server.inference.trial_runs import TrialBounds, TrialRuns
from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.tensors import Array

MAX_SECONDS = 3.0
MADE_UP = 12
MOST_REAL = 12
GRAVE_SHARE = 0.05
"""Of the largest number that an output has had: what is off by more is another answer."""
WIDE = 2**40
"""A whole number that 32 bits don't hold."""

Inputs = Mapping[str, Array]


@dataclass(frozen=True)
class Difference:
    """`words` are a clause: what is answered, and what the CPU answers."""

    words: str
    is_grave: bool
    """Another decision, and not a number that is a little off or an input that no client should send."""
    off: float = 0.0
    """By which numbers of an output differ; 0 where it's something else."""


@dataclass(frozen=True)
class _Trial:
    what: str
    inputs: Inputs
    is_usual: bool = True
    """Clients may send the like; else what differs is told only."""


def differences(model: Model, reference: Model, accepted: Inputs, real: Sequence[Inputs]) -> list[Difference]:
    """One for each output and kind. `reference` is the same model on the CPU; `accepted` are inputs that it takes."""
    bounds = TrialBounds(MAX_SECONDS, None)
    runs, reference_runs = TrialRuns(model, bounds), TrialRuns(reference, bounds)
    found: dict[tuple[str, bool], Difference] = {}
    largest: dict[str, float] = {}
    for trial in _trials(reference_runs, accepted, real):
        for about, difference in _compared(runs, reference_runs, trial, accepted, largest):
            key = (about, difference.is_grave)
            if key not in found or difference.off > found[key].off:
                found[key] = difference
        if runs.seconds_left <= 0:
            break
    judged = [
        replace(difference, is_grave=difference.is_grave and difference.off > GRAVE_SHARE * largest.get(about, 0.0))
        if difference.off
        else difference
        for (about, _), difference in found.items()
    ]
    return sorted(judged, key=lambda difference: not difference.is_grave)


def _trials(runs: TrialRuns, accepted: Inputs, real: Sequence[Inputs]) -> Iterator[_Trial]:
    signature = runs.model.signature
    yield _Trial("the warm-up's inputs", accepted)
    for inputs in real[:MOST_REAL]:
        yield _Trial("a request of the self-test", inputs)
    yield _Trial("inputs of size 1", _smallest(accepted, signature))
    for spec in signature.inputs:
        if spec.name in accepted and accepted[spec.name].size:
            yield from _extremes(spec, accepted, takes_nan=runs.model.takes_missing_values)
    if set(accepted) == {spec.name for spec in signature.inputs}:
        draw = Draw(runs, signature, dict(accepted), read_graph(runs.model.path))
        for number in range(MADE_UP):
            yield _Trial("made-up inputs", draw.row(number))


def _smallest(accepted: Inputs, signature: Signature) -> Inputs:
    """Too short for most models that take any length, and for all others what they have taken."""
    shapes = {spec.name: spec.shape for spec in signature.inputs}
    return {
        name: array[tuple(slice(0, 1 if size == -1 else None) for size in shapes[name])]
        for name, array in accepted.items()
    }


def _extremes(spec: TensorSpec, accepted: Inputs, *, takes_nan: bool) -> Iterator[_Trial]:
    kind = accepted[spec.name].dtype
    if kind.kind == "f":
        yield _Trial(f"NaN in input {spec.name}", _with_last(accepted, spec.name, np.nan), is_usual=takes_nan)
    elif kind.kind in "iu" and spec.name.lower() not in MASKS:
        largest = min(WIDE, int(np.iinfo(kind).max))
        yield _Trial(f"{largest} in input {spec.name}", _with_last(accepted, spec.name, largest))


def _with_last(accepted: Inputs, name: str, value: float) -> dict[str, Array]:
    changed = accepted[name].copy()
    changed.reshape(-1)[-1] = value
    return {**accepted, name: changed}


def _compared(
    runs: TrialRuns, reference: TrialRuns, trial: _Trial, accepted: Inputs, largest: dict[str, float]
) -> Iterator[tuple[str, Difference]]:
    """With what each is about."""
    try:
        right = reference.run(trial.inputs)
    except ModelFailed:
        if refusal := _answered(runs, trial, accepted):
            yield "refusal", refusal
        return
    try:
        answer = runs.run(trial.inputs)
    except ModelFailed as error:
        yield "failure", Difference(f"it fails on {trial.what}: {error}", trial.is_usual)
        return
    for name, array in right.items():
        if trial.is_usual:
            largest[name] = max(largest.get(name, 0.0), _largest(array))
        if difference := _difference(name, answer[name], array):
            words = f"{difference.words}, for {trial.what}"
            yield name, replace(difference, words=words, is_grave=difference.is_grave and trial.is_usual)


def _answered(runs: TrialRuns, trial: _Trial, accepted: Inputs) -> Difference | None:
    """What the CPU has refused. A provider may leave in its outputs what the run before has written there."""
    try:
        before = runs.run(accepted)
        answer = runs.run(trial.inputs)
    except ModelFailed:
        return None
    words = f"it answers {trial.what}, which the CPU refuses"
    is_other = any(array.shape != accepted[name].shape for name, array in trial.inputs.items())
    is_left = any(array.size and np.array_equal(array, before[name]) for name, array in answer.items())
    if is_other and is_left:
        return Difference(f"{words}, with the answer of the run before", is_grave=True)
    return Difference(words, is_grave=False)


def _difference(name: str, answer: Array, right: Array) -> Difference | None:
    if answer.shape != right.shape:
        shapes = f"{list(answer.shape)} and not {list(right.shape)}"
        return Difference(f"output {name} has shape {shapes}", is_grave=True)
    is_float = right.dtype.kind == "f"
    other = _not_alike(answer, right) if is_float else answer != right
    if np.any(other):
        place = tuple(np.argwhere(other)[0])
        return Difference(f"output {name} is {answer[place]} and not {right[place]}", is_grave=True)
    if not is_float or are_close(answer, right):
        return None
    most = _largest(_finite(answer) - _finite(right))
    words = f"output {name} is off by up to {most:.2g} where its largest number is {_largest(right):.2g}"
    return Difference(f"{words} (bound: {TOLERANCE:g})", is_grave=True, off=most)


def _not_alike(answer: Array, right: Array) -> Array:
    """Where one is NaN or an infinity and the other isn't."""
    infinite = np.where(np.isinf(right), right, 0) != np.where(np.isinf(answer), answer, 0)
    return np.asarray((np.isnan(answer) != np.isnan(right)) | infinite)


def _largest(array: Array) -> float:
    """By its amount; 0 where there is no finite number."""
    if array.dtype.kind != "f":
        return 0.0
    numbers = np.abs(array[np.isfinite(array)])
    return float(numbers.max()) if numbers.size else 0.0


def _finite(array: Array) -> Array:
    return np.where(np.isfinite(array), array, np.nan).astype(np.float64)
