"""Runs a model before it is ready: what it takes, whether rows may share a run, and how it is run best.

All of it together is bounded: in seconds, in memory, and in how long a request may wait for others.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from tidegate_server.errors import ModelFailed
from tidegate_server.inference.accepted_inputs import Accepted, Refused, are_finite, find_accepted, repeated
from tidegate_server.inference.execution_plan import (
    MAX_BATCH_SECONDS,
    MIN_PARALLEL_RUN_SECONDS,
    ExecutionPlan,
    LayoutMeasurement,
    ThreadLayout,
    best_layout,
    candidate_layouts,
    choose_plan,
    fallback_plan,
    inline_rows,
    inline_width,
    most_padding,
)
from tidegate_server.inference.measuring import measure, seconds_by_texts, seconds_by_width
from tidegate_server.inference.model import Model
from tidegate_server.inference.onnx_graph import (
    STANDARD_DOMAINS,
    has_data_dependent_time,
    read_graph,
)
from tidegate_server.inference.row_independence import Independence, probe
from tidegate_server.inference.shared_operators import why_rows_mix
from tidegate_server.inference.text_padding import harmless_padding
from tidegate_server.inference.trial_runs import TrialBounds, TrialRuns
from tidegate_server.protocol.observed_shapes import Observed, corrected, corrections
from tidegate_server.protocol.padding import Padding, width_of
from tidegate_server.protocol.signature import Signature, blank_inputs
from tidegate_server.protocol.tensors import Array

log = logging.getLogger(__name__)

MAX_WARM_UP_SECONDS = 6.0
MAX_SAMPLES_SECONDS = 3.0
MAX_REOPENED_MODEL_BYTES = 2**30
OBSERVED_ROWS = 3
INLINE_WIDTHS = (32, 64, 128, 256)
INLINE_TEXT_TOKENS = 32
DOMAINS_KNOWN = STANDARD_DOMAINS | {"com.microsoft"}

Row = dict[str, Array]


@dataclass(frozen=True)
class WarmUpOptions:
    """What the settings say; None means that the measurements decide."""

    cpus: int
    max_rows: int
    """The most rows of a batch; 1 turns batching off."""
    linger_seconds: float | None = None
    threads_per_run: int | None = None
    memory_limit: int | None = None
    """Bytes of the container; None for no limit."""


@dataclass(frozen=True)
class Findings:
    """What every process of the server goes by."""

    plan: ExecutionPlan
    signature: Signature
    """With outputs as the model answers them."""
    batching: str
    """For people: how many rows share a run, or why none do."""
    accepted: Row | None = None
    """Inputs that the model takes, of one row where rows are free."""
    padding: Padding | None = None
    """How texts of different lengths share a run; None where they don't."""
    example: Row | None = None
    """The smallest inputs that the model has answered with finite numbers."""


def warm_up(
    model: Model,
    options: WarmUpOptions,
    real: Sequence[Mapping[str, Array]] = (),
    padding: Padding | None = None,
) -> tuple[Model, Findings]:
    """The model, perhaps opened anew with other threads, and what was found. The model has run when this returns.

    `real` are requests as clients send them; made-up inputs stand in where there are none. `padding` is how texts are
    lengthened.
    """
    runs = TrialRuns(model, TrialBounds(MAX_WARM_UP_SECONDS, options.memory_limit))
    accepted = find_accepted(runs, model.signature, real)
    if isinstance(accepted, Refused):
        log.warning("no inputs were found that the model takes, so it starts without a warm-up: %s", accepted.words)
        return model, _without_inputs(model.signature, options)
    signature = _observed(runs, model.signature, accepted)
    independence = _independence(runs, signature, options, accepted, real)
    lengthening, padding = padding, harmless_padding(runs, signature, real, padding) if independence.shown else None
    best, opened = _measured(runs, options, accepted.arrays, options.max_rows if independence.shown else 1)
    opened.give_memory_back(accepted.arrays)
    plan = choose_plan(
        best,
        has_fixed_cost=signature.elements_per_row is not None and not has_data_dependent_time(model.file.operators),
        linger_seconds=options.linger_seconds,
        rows_are_independent=independence.shown,
    )
    if padding is not None:
        width = _inline_width(runs.using(opened), plan, accepted.arrays, padding)
        bound = most_padding(width_of(accepted.arrays), best.seconds_by_rows)
        plan = replace(plan, inline_width=width, most_padding=bound)
    else:
        plan = replace(plan, inline_tokens=_inline_tokens(runs.using(opened), plan, accepted.arrays, lengthening))
    batching = _words(plan, best, independence, runs, padded=padding is not None)
    log.info("plan: %s", plan)
    log.log(logging.INFO if independence.shown else logging.WARNING, "batching is %s", batching)
    example = _example(runs.using(opened), signature, accepted)
    return opened, Findings(plan, signature, batching, accepted.arrays, padding, example)


def run_once(model: Model, accepted: Mapping[str, Array] | None) -> None:
    """The first run sets up what later ones find ready."""
    if accepted is None:
        return
    try:
        model.run(dict(accepted), [spec.name for spec in model.signature.outputs])
    except ModelFailed as error:
        log.warning("the model fails on what it took before: %s", error)


def run_samples(model: Model, samples: Sequence[Mapping[str, Array]]) -> None:
    """Requests that somebody wants the model to have answered once: what it sets up for their shapes stays set up."""
    if not samples:
        return
    runs = TrialRuns(model, TrialBounds(MAX_SAMPLES_SECONDS, None))
    done = 0
    for number, arrays in enumerate(samples, 1):
        if runs.seconds_left <= 0:
            log.warning("warm-up: only %d of %d samples have run in %g s", done, len(samples), MAX_SAMPLES_SECONDS)
            return
        try:
            runs.run(arrays)
            done += 1
        except ModelFailed as error:
            log.warning("warm-up: the model fails on request %d of its samples: %s", number, error)
    log.info("warm-up: %d samples have run", done)


def _inline_width(runs: TrialRuns, plan: ExecutionPlan, row: Row, padding: Padding) -> int:
    """Of texts, whose runs take as long as their length says."""
    if plan.max_rows == 1:
        return 0
    if not all(domain in DOMAINS_KNOWN for domain, _ in runs.model.file.operators):
        return 0
    widths = [width for width in INLINE_WIDTHS if width >= width_of(row)]
    return inline_width(plan.layout, plan.max_rows, seconds_by_width(runs, row, plan.max_rows, padding, widths))


def _inline_tokens(runs: TrialRuns, plan: ExecutionPlan, row: Row, padding: Padding | None) -> int:
    """Of texts that share a run with those of their length alone. `padding` makes them as long as they have to be."""
    if padding is None or row.keys() != padding.fills.keys() or any(array.ndim != 2 for array in row.values()):
        return 0
    if has_data_dependent_time(runs.model.file.operators, DOMAINS_KNOWN):
        return 0
    width = max(INLINE_TEXT_TOKENS, width_of(row))
    text = {name: padding.padded(name, array, width) for name, array in row.items()}
    return width * inline_rows(plan.layout, seconds_by_texts(runs, text, plan.max_rows))


def _example(runs: TrialRuns, signature: Signature, accepted: Accepted) -> Row | None:
    if not runs.is_slow:
        with suppress(ModelFailed):
            small = blank_inputs(signature)
            if are_finite(runs.run(small)):
                return small
    return accepted.arrays if are_finite(accepted.outputs) else None


def _without_inputs(signature: Signature, options: WarmUpOptions) -> Findings:
    reason = "off: no inputs were found that the model takes; a selftest.json would have some"
    return Findings(fallback_plan(options.cpus), signature, reason)


def _observed(runs: TrialRuns, declared: Signature, accepted: Accepted) -> Signature:
    """As declared, but for outputs that are something else."""
    if not declared.has_free_rows:
        return _corrected(declared, [Observed(None, accepted.outputs)])
    seen = [Observed(1, accepted.outputs)]
    try:
        if runs.fits(OBSERVED_ROWS) and not runs.is_slow:
            seen.append(Observed(OBSERVED_ROWS, runs.run(repeated(accepted.arrays, OBSERVED_ROWS))))
    except ModelFailed:
        return declared  # the probe says later what it says
    return _corrected(declared, seen)


def _corrected(declared: Signature, seen: Sequence[Observed]) -> Signature:
    signature = corrected(declared, seen)
    for sentence in corrections(declared, signature):
        log.warning("%s", sentence)
    return signature


def _independence(
    runs: TrialRuns,
    signature: Signature,
    options: WarmUpOptions,
    accepted: Accepted,
    real: Sequence[Mapping[str, Array]],
) -> Independence:
    """What is said of the file goes before what is tried."""
    if options.max_rows == 1:
        return Independence("TIDEGATE_BATCH_MAX_ROWS is 1")
    for spec in (*signature.inputs, *signature.outputs):
        if spec.shape[:1] != (-1,):
            role = "input" if spec in signature.inputs else "output"
            return Independence(f"{role} {spec.name} has shape {list(spec.shape)}, without a free number of rows")
    if not signature.is_batchable:
        return Independence("the first dimensions of the inputs have different names")
    graph = read_graph(runs.model.path)
    if mixing := why_rows_mix(graph):
        return Independence(mixing)
    return probe(runs, signature, accepted, real, graph)


def _measured(runs: TrialRuns, options: WarmUpOptions, row: Row, max_rows: int) -> tuple[LayoutMeasurement, Model]:
    """The best way to share the CPUs, and the model opened for it."""
    layouts = _layouts_to_try(runs, options)
    opened = [_opened(runs.model, layouts[0])]
    measurements = [measure(runs.using(opened[0]), layouts[0], row, max_rows)]
    for layout in layouts[1:]:
        if measurements[0].seconds_by_rows[1] < MIN_PARALLEL_RUN_SECONDS or runs.seconds_left <= 0:
            break
        opened[-1].give_memory_back(row)  # else both ways' runs would be in memory at once
        opened.append(_opened(runs.model, layout))
        measurements.append(measure(runs.using(opened[-1]), layout, row, max_rows))
    for one in measurements:
        log.info("warm-up: %s", _summary(one))
    best = best_layout(tuple(measurements))
    return best, opened[measurements.index(best)]


def _opened(model: Model, layout: ThreadLayout) -> Model:
    return model if layout.threads_per_run == 1 else model.with_threads(layout.threads_per_run)


def _layouts_to_try(runs: TrialRuns, options: WarmUpOptions) -> tuple[ThreadLayout, ...]:
    """Those whose runs at once have memory enough."""
    if options.threads_per_run is not None:
        at_once = max(1, options.cpus // options.threads_per_run)
        return (ThreadLayout(options.threads_per_run, _that_fit(runs, at_once)),)
    layouts = candidate_layouts(options.cpus)
    fitting = tuple(layout for layout in layouts if runs.can_serve(layout.runs_at_once)) or layouts[-1:]
    return fitting if runs.model.file.bytes <= MAX_REOPENED_MODEL_BYTES else fitting[:1]


def _that_fit(runs: TrialRuns, at_once: int) -> int:
    while at_once > 1 and not runs.can_serve(at_once):
        at_once -= 1
    return at_once


def _words(
    plan: ExecutionPlan, measured: LayoutMeasurement, independence: Independence, runs: TrialRuns, *, padded: bool
) -> str:
    if not independence.shown:
        return f"off: {independence.reason}"
    if plan.max_rows > 1:
        return f"on: up to {plan.max_rows} rows share a run" + (", also texts of different lengths" if padded else "")
    if measured.seconds_by_rows[1] * 2 > MAX_BATCH_SECONDS:
        return f"off: two rows would take more than {MAX_BATCH_SECONDS:g} s, and no request waits so long for another"
    if not (runs.fits(2) and runs.can_serve(2 * plan.layout.runs_at_once)):
        mebibytes = runs.bytes_per_row >> 20
        return f"off: a row takes {mebibytes} MiB of memory, and the container has too little for more at once"
    return "off: several rows in a run take about as long as in runs of their own"


def _summary(one: LayoutMeasurement) -> str:
    by_rows = ", ".join(f"{rows} rows {seconds * 1000:.3g} ms" for rows, seconds in one.seconds_by_rows.items())
    layout = one.layout
    return (
        f"{layout.runs_at_once} runs at once with {layout.threads_per_run} threads each: "
        f"{one.rows_per_second:.0f} rows/s; {by_rows}"
    )
