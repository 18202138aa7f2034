"""Gets a model going before anybody may ask it, and measures how it wants to be run.

Some models refuse blank inputs; they are served all the same, with the plain plan.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from threading import Barrier, Thread
from time import perf_counter

import numpy as np

from tidegate_server.errors import ModelFailed
from tidegate_server.inference.model import Model
from tidegate_server.inference.onnx_graph import has_data_dependent_time
from tidegate_server.inference.plan import (
    SYMBOLIC_SAMPLE,
    WORTH_SPLITTING_SECONDS,
    Measured,
    Plan,
    Split,
    best_split,
    choose,
    elements_per_row,
    may_batch,
    splits,
    unmeasured,
)
from tidegate_server.protocol.signature import NUMPY_TYPES, Signature, TensorSpec
from tidegate_server.protocol.tensors import Array

log = logging.getLogger(__name__)

LEAST_RUNS, MOST_RUNS = 3, 200
SECONDS_PER_MEASUREMENT = 0.1
LARGEST_TO_OPEN_TWICE = 2**30
CLOSE_ENOUGH = 1e-3


@dataclass(frozen=True)
class Wishes:
    """What the settings say; None means that the measurements decide."""

    cpus: int
    max_rows: int
    """The most rows of a batch; 1 turns batching off."""
    linger_seconds: float | None = None
    threads_per_run: int | None = None


def warm_up(model: Model, wishes: Wishes, example: dict[str, Array] | None = None) -> tuple[Model, Plan]:
    """The model, perhaps opened anew with other threads, and the plan. The model has run when this returns.

    `example` is a request as clients send it; without one the measurements use blank inputs.
    """
    sample = _accepted_sample(model, example)
    if sample is None:
        return model, unmeasured(wishes.cpus)
    steady = elements_per_row(model.signature) is not None and not has_data_dependent_time(model.path)
    batches = _rows_to_try(model, wishes)
    ways = _ways(model, wishes)
    measured = [_measure(model, ways[0], sample, batches)]
    opened = [model]
    if measured[0].seconds_by_rows[1] < WORTH_SPLITTING_SECONDS:
        ways = ways[:1]
    for split in ways[1:]:
        opened.append(model.with_threads(split.threads_per_run))
        measured.append(_measure(opened[-1], split, sample, batches))
    best = best_split(tuple(measured))
    plan = choose(best, steady=steady, linger_seconds=wishes.linger_seconds)
    for one in measured:
        log.info("warm-up: %s", _sentence(one))
    log.info("plan: %s", plan)
    return opened[measured.index(best)], plan


def run_once(model: Model, example: dict[str, Array] | None = None) -> None:
    """The first run sets up what later ones find ready."""
    _accepted_sample(model, example)


def _ways(model: Model, wishes: Wishes) -> tuple[Split, ...]:
    if wishes.threads_per_run is not None:
        return (Split(wishes.threads_per_run, max(1, wishes.cpus // wishes.threads_per_run)),)
    ways = splits(wishes.cpus)
    return ways if model.path.stat().st_size <= LARGEST_TO_OPEN_TWICE else ways[:1]


def _rows_to_try(model: Model, wishes: Wishes) -> tuple[int, ...]:
    if wishes.max_rows == 1 or not may_batch(model.signature):
        return (1,)
    if not _rows_are_independent(model):
        log.warning("batching is off: a row's outputs depend on the rows beside it")
        return (1,)
    return (*(rows for rows in (1, 2, 4, 8, 16, 32, 64) if rows < wishes.max_rows), wishes.max_rows)


# --- samples

Sample = Callable[[int], dict[str, Array]]
"""Inputs with so many rows."""


def _accepted_sample(model: Model, example: dict[str, Array] | None) -> Sample | None:
    """The first kind of inputs that the model takes: it may refuse some sizes of unnamed dimensions."""
    names = [spec.name for spec in model.signature.outputs]
    refusal: ModelFailed | None = None
    for sample in _samples(model.signature, example):
        try:
            model.run(sample(1), names)
        except ModelFailed as error:
            refusal = error
            continue
        return sample
    log.warning("the model refuses blank inputs, so it starts without a warm-up: %s", refusal)
    return None


def _samples(signature: Signature, example: dict[str, Array] | None) -> Iterator[Sample]:
    if example is not None:
        yield partial(_repeated, signature, example)
    for size in (SYMBOLIC_SAMPLE, 1):
        yield partial(_blanks, signature, size)


def _repeated(signature: Signature, example: dict[str, Array], rows: int) -> dict[str, Array]:
    """The first row of the example, so many times; as it is where rows aren't free."""
    if not may_batch(signature):
        return example
    return {name: np.repeat(array[:1], rows, axis=0) for name, array in example.items()}


def _blanks(signature: Signature, size: int, rows: int) -> dict[str, Array]:
    return {spec.name: _blank(spec, rows, size) for spec in signature.inputs}


def _blank(spec: TensorSpec, rows: int, size: int) -> Array:
    first = [rows if spec.shape[0] == -1 else spec.shape[0]] if spec.shape else []
    shape = (*first, *(size if dimension == -1 else dimension for dimension in spec.shape[1:]))
    if spec.datatype == "BYTES":
        return np.full(shape, "", dtype=np.object_)
    return np.zeros(shape, dtype=NUMPY_TYPES[spec.datatype])


def _rows_are_independent(model: Model) -> bool:
    """Runs three different rows together and alone. The first dimension may be time, or the graph may mix rows."""
    rows = [_random_row(model.signature, seed) for seed in range(3)]
    names = [spec.name for spec in model.signature.outputs]
    try:
        alone = [model.run(row, names) for row in rows]
        together = model.run({name: np.concatenate([row[name] for row in rows]) for name in rows[0]}, names)
    except ModelFailed:
        return False
    return all(
        output.ndim > 0 and output.shape[0] == 3 and all(_agree(output[k : k + 1], alone[k][at]) for k in range(3))
        for at, output in enumerate(together)
    )


def _agree(left: Array, right: Array) -> bool:
    if left.shape != right.shape:
        return False
    if left.dtype.kind != "f":
        return bool(np.array_equal(left, right))
    return bool(np.allclose(left, right, rtol=CLOSE_ENOUGH, atol=CLOSE_ENOUGH, equal_nan=True))


def _random_row(signature: Signature, seed: int) -> dict[str, Array]:
    """Small numbers: an index of 0 or 1 is in every table."""
    random = np.random.default_rng(seed)
    row = {}
    for spec in signature.inputs:
        shape = _blank(spec, 1, SYMBOLIC_SAMPLE).shape
        if spec.datatype == "BYTES":
            row[spec.name] = np.full(shape, f"row {seed}", dtype=np.object_)
        elif spec.datatype.startswith("FP"):
            row[spec.name] = np.asarray(random.normal(size=shape)).astype(NUMPY_TYPES[spec.datatype])
        else:
            row[spec.name] = np.asarray(random.integers(0, 2, size=shape)).astype(NUMPY_TYPES[spec.datatype])
    return row


# --- measuring


def _measure(model: Model, split: Split, sample: Sample, batches: tuple[int, ...]) -> Measured:
    names = [spec.name for spec in model.signature.outputs]
    seconds_by_rows: dict[int, float] = {}
    for rows in batches:
        inputs = sample(rows)
        try:
            seconds_by_rows[rows] = _median_seconds(partial(model.run, inputs, names))
        except ModelFailed:
            break
    best = max(seconds_by_rows, key=lambda rows: rows / seconds_by_rows[rows])
    inputs = sample(best)
    return Measured(
        split,
        seconds_by_rows,
        best * _runs_per_second(partial(model.run, inputs, names), split.runs_at_once, seconds_by_rows[best]),
    )


def _median_seconds(run: Callable[[], object]) -> float:
    times: list[float] = []
    began = perf_counter()
    while len(times) < LEAST_RUNS or (len(times) < MOST_RUNS and perf_counter() - began < SECONDS_PER_MEASUREMENT):
        start = perf_counter()
        run()
        times.append(perf_counter() - start)
    return sorted(times)[len(times) // 2]


def _runs_per_second(run: Callable[[], object], at_once: int, seconds: float) -> float:
    """Of `at_once` threads together."""
    if at_once == 1:
        return 1 / seconds
    runs = max(LEAST_RUNS, min(MOST_RUNS, int(SECONDS_PER_MEASUREMENT / seconds)))
    start = Barrier(at_once + 1)

    def work() -> None:
        start.wait()
        for _ in range(runs):
            run()

    threads = [Thread(target=work, daemon=True) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    start.wait()
    began = perf_counter()
    for thread in threads:
        thread.join()
    return runs * at_once / (perf_counter() - began)


def _sentence(one: Measured) -> str:
    by_rows = ", ".join(f"{rows} rows {seconds * 1000:.3g} ms" for rows, seconds in one.seconds_by_rows.items())
    split = one.split
    return (
        f"{split.runs_at_once} runs at once with {split.threads_per_run} threads each: "
        f"{one.rows_per_second:.0f} rows/s; {by_rows}"
    )
