"""Runs a model before it is ready, and measures how it is run best.

Some models refuse blank inputs; they are served all the same, with the fallback plan.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from threading import Barrier, Thread
from time import perf_counter

import numpy as np

from tidegate_server.errors import ModelFailed
from tidegate_server.inference.execution_plan import (
    MIN_PARALLEL_RUN_SECONDS,
    SYMBOLIC_DIMENSION_SIZE,
    ExecutionPlan,
    LayoutMeasurement,
    ThreadLayout,
    best_layout,
    candidate_layouts,
    choose_plan,
    fallback_plan,
)
from tidegate_server.inference.model import Model
from tidegate_server.inference.onnx_graph import has_data_dependent_time
from tidegate_server.protocol.signature import NUMPY_TYPES, Signature, blank_inputs
from tidegate_server.protocol.tensors import Array

log = logging.getLogger(__name__)

MIN_RUNS, MAX_RUNS = 3, 200
SECONDS_PER_MEASUREMENT = 0.1
MAX_REOPENED_MODEL_BYTES = 2**30
TOLERANCE = 1e-3


@dataclass(frozen=True)
class WarmUpOptions:
    """What the settings say; None means that the measurements decide."""

    cpus: int
    max_rows: int
    """The most rows of a batch; 1 turns batching off."""
    linger_seconds: float | None = None
    threads_per_run: int | None = None


def warm_up(
    model: Model, options: WarmUpOptions, example: dict[str, Array] | None = None
) -> tuple[Model, ExecutionPlan]:
    """The model, perhaps opened anew with other threads, and the plan. The model has run when this returns.

    `example` is a request as clients send it; without one the measurements use blank inputs.
    """
    make_inputs = _accepted_inputs(model, example)
    if make_inputs is None:
        return model, fallback_plan(options.cpus)
    has_fixed_cost = model.signature.elements_per_row is not None and not has_data_dependent_time(model.path)
    batches = _batch_sizes_to_try(model, options)
    layouts = _layouts_to_try(model, options)
    measurements = [_measure(model, layouts[0], make_inputs, batches)]
    opened = [model]
    if measurements[0].seconds_by_rows[1] < MIN_PARALLEL_RUN_SECONDS:
        layouts = layouts[:1]
    for layout in layouts[1:]:
        opened.append(model.with_threads(layout.threads_per_run))
        measurements.append(_measure(opened[-1], layout, make_inputs, batches))
    best = best_layout(tuple(measurements))
    plan = choose_plan(best, has_fixed_cost=has_fixed_cost, linger_seconds=options.linger_seconds)
    for one in measurements:
        log.info("warm-up: %s", _summary(one))
    log.info("plan: %s", plan)
    return opened[measurements.index(best)], plan


def run_once(model: Model, example: dict[str, Array] | None = None) -> None:
    """The first run sets up what later ones find ready."""
    _accepted_inputs(model, example)


def _layouts_to_try(model: Model, options: WarmUpOptions) -> tuple[ThreadLayout, ...]:
    if options.threads_per_run is not None:
        return (ThreadLayout(options.threads_per_run, max(1, options.cpus // options.threads_per_run)),)
    layouts = candidate_layouts(options.cpus)
    return layouts if model.path.stat().st_size <= MAX_REOPENED_MODEL_BYTES else layouts[:1]


def _batch_sizes_to_try(model: Model, options: WarmUpOptions) -> tuple[int, ...]:
    if options.max_rows == 1 or not model.signature.is_batchable:
        return (1,)
    if not _rows_are_independent(model):
        log.warning("batching is off: a row's outputs depend on the rows beside it")
        return (1,)
    return (*(rows for rows in (1, 2, 4, 8, 16, 32, 64) if rows < options.max_rows), options.max_rows)


# --- inputs

InputFactory = Callable[[int], dict[str, Array]]
"""Inputs with so many rows."""


def _accepted_inputs(model: Model, example: dict[str, Array] | None) -> InputFactory | None:
    """The first kind of inputs that the model takes: it may refuse some sizes of unnamed dimensions."""
    names = [spec.name for spec in model.signature.outputs]
    refusal: ModelFailed | None = None
    for make_inputs in _input_factories(model.signature, example):
        try:
            model.run(make_inputs(1), names)
        except ModelFailed as error:
            refusal = error
            continue
        return make_inputs
    log.warning("the model refuses blank inputs, so it starts without a warm-up: %s", refusal)
    return None


def _input_factories(signature: Signature, example: dict[str, Array] | None) -> Iterator[InputFactory]:
    if example is not None:
        yield partial(_repeat_first_row, signature, example)
    for size in (SYMBOLIC_DIMENSION_SIZE, 1):
        yield partial(blank_inputs, signature, size=size)


def _repeat_first_row(signature: Signature, example: dict[str, Array], rows: int) -> dict[str, Array]:
    """The first row of the example, so many times; as it is where rows aren't free."""
    if not signature.is_batchable:
        return example
    return {name: np.repeat(array[:1], rows, axis=0) for name, array in example.items()}


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
        output.ndim > 0 and output.shape[0] == 3 and all(_are_close(output[k : k + 1], alone[k][at]) for k in range(3))
        for at, output in enumerate(together)
    )


def _are_close(left: Array, right: Array) -> bool:
    if left.shape != right.shape:
        return False
    if left.dtype.kind != "f":
        return bool(np.array_equal(left, right))
    return bool(np.allclose(left, right, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True))


def _random_row(signature: Signature, seed: int) -> dict[str, Array]:
    """Small numbers: an index of 0 or 1 is in every table."""
    random = np.random.default_rng(seed)
    blanks = blank_inputs(signature, size=SYMBOLIC_DIMENSION_SIZE)
    row = {}
    for spec in signature.inputs:
        shape = blanks[spec.name].shape
        if spec.datatype == "BYTES":
            row[spec.name] = np.full(shape, f"row {seed}", dtype=np.object_)
            continue
        numbers = random.normal(size=shape) if spec.datatype.startswith("FP") else random.integers(0, 2, size=shape)
        row[spec.name] = np.asarray(numbers).astype(NUMPY_TYPES[spec.datatype])
    return row


# --- measuring


def _measure(
    model: Model, layout: ThreadLayout, make_inputs: InputFactory, batches: tuple[int, ...]
) -> LayoutMeasurement:
    names = [spec.name for spec in model.signature.outputs]
    seconds_by_rows: dict[int, float] = {}
    for rows in batches:
        inputs = make_inputs(rows)
        try:
            seconds_by_rows[rows] = _median_seconds(partial(model.run, inputs, names))
        except ModelFailed:
            break
    best = max(seconds_by_rows, key=lambda rows: rows / seconds_by_rows[rows])
    inputs = make_inputs(best)
    return LayoutMeasurement(
        layout,
        seconds_by_rows,
        best * _runs_per_second(partial(model.run, inputs, names), layout.runs_at_once, seconds_by_rows[best]),
    )


def _median_seconds(run: Callable[[], object]) -> float:
    times: list[float] = []
    began = perf_counter()
    while len(times) < MIN_RUNS or (len(times) < MAX_RUNS and perf_counter() - began < SECONDS_PER_MEASUREMENT):
        start = perf_counter()
        run()
        times.append(perf_counter() - start)
    return sorted(times)[len(times) // 2]


def _runs_per_second(run: Callable[[], object], at_once: int, seconds: float) -> float:
    """Of `at_once` threads together."""
    if at_once == 1:
        return 1 / seconds
    runs = max(MIN_RUNS, min(MAX_RUNS, int(SECONDS_PER_MEASUREMENT / seconds)))
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


def _summary(one: LayoutMeasurement) -> str:
    by_rows = ", ".join(f"{rows} rows {seconds * 1000:.3g} ms" for rows, seconds in one.seconds_by_rows.items())
    layout = one.layout
    return (
        f"{layout.runs_at_once} runs at once with {layout.threads_per_run} threads each: "
        f"{one.rows_per_second:.0f} rows/s; {by_rows}"
    )
