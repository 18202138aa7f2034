"""How the CPUs are shared between runs, chosen from what was measured at warm-up. Pure.

Three questions, one answer for each model: does a run use one thread or all of them; how many rows go into one run;
and is a run so short that handing it to another thread would cost more than the run itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tidegate_server.protocol.padding import ANY_PADDING

THREAD_HANDOFF_SECONDS = 60e-6
"""What giving a batch to another thread and its result back costs in Python; measured, and only its order matters."""
REQUEST_SECONDS = 20e-6
"""What reading and answering one small request costs, in which no other Python code runs."""
TEXT_REQUEST_SECONDS = 100e-6
"""The same of a text, which is cut into tokens first."""
MAX_INLINE_SECONDS = 1e-3
"""The event loop reads and writes nothing meanwhile."""
MIN_BATCH_GAIN = 1.1
"""A larger batch has to bring this much more than the one before it, or its latency buys nothing."""
PART_SECONDS = 10e-3
MIN_BATCHING_GAIN = 1.4
"""Batches have to bring this much more than single runs, or there are none. Nothing that a replica could measure in
another way decides: a model gains far more, or nothing."""
CLEAR_BATCH_GAINS = 1.1
"""A gain that is within this factor of what decides is measured again."""
MAX_BATCH_SECONDS = 0.25
"""No request waits longer for the strangers in its run."""
MIN_LAYOUT_GAIN = 1.2
"""Measurements of a few milliseconds on shared cores are noisy; the default wins unless it's clear."""
MAX_LINGER_SECONDS = 2e-3
MIN_PARALLEL_RUN_SECONDS = 0.5e-3
"""A shorter run has no operator long enough for several threads to gain by it."""
MAX_COPIED_MODEL_BYTES = 64 * 2**20
MAX_PROCESSES = 4
"""Without a quota a container sees all cores of its node, and they aren't its own."""


@dataclass(frozen=True)
class ThreadLayout:
    """Of the CPUs: `threads_per_run` for each of `runs_at_once`."""

    threads_per_run: int
    runs_at_once: int


@dataclass(frozen=True)
class LayoutMeasurement:
    """Seconds of one run by its rows, and rows a second of `layout` at its best."""

    layout: ThreadLayout
    seconds_by_rows: Mapping[int, float]
    rows_per_second: float


@dataclass(frozen=True)
class ExecutionPlan:
    """What the engine goes by."""

    layout: ThreadLayout
    max_rows: int
    """1: every request runs alone."""
    linger_seconds: float
    """How long a free slot waits for more requests while another run is going on."""
    inline: bool
    """Small requests run in the event loop's own thread."""
    run_seconds: float
    """Of one row; 0 where nothing could be measured."""
    rows_are_independent: bool = False
    """Shown: a row's answer is the same in any company, so a request's rows may be cut into several runs too."""
    inline_width: int = 0
    """Texts of up to so many tokens run in the event loop's own thread, whatever their length; 0 where none does."""
    inline_tokens: int = 0
    """So do texts of one length that have no more tokens than this, all of a request together."""
    most_padding: int = ANY_PADDING
    """Tokens that may be added to let one more text share a run; with more of them a run of its own costs less."""

    @property
    def runs_inline(self) -> bool:
        """Whether requests of any kind run in the event loop's own thread."""
        return self.inline or self.inline_width > 0 or self.inline_tokens > 0


def part_rows(plan: ExecutionPlan) -> int | None:
    """The most rows of one run of a request that has more; None where all of its rows have to run together.

    A run of so few milliseconds can't touch much memory, and to cut it finer would cost more than it's worth.
    """
    if not plan.rows_are_independent:
        return None
    return max(plan.max_rows, int(PART_SECONDS / plan.run_seconds) if plan.run_seconds else 1)


def candidate_layouts(cpus: int) -> tuple[ThreadLayout, ...]:
    """Those worth measuring; the first is the default."""
    one_thread_each = ThreadLayout(threads_per_run=1, runs_at_once=cpus)
    return (one_thread_each,) if cpus == 1 else (one_thread_each, ThreadLayout(threads_per_run=cpus, runs_at_once=1))


def fallback_plan(cpus: int) -> ExecutionPlan:
    """For a model that refuses blank inputs."""
    return ExecutionPlan(candidate_layouts(cpus)[0], max_rows=1, linger_seconds=0.0, inline=False, run_seconds=0.0)


def best_layout(measurements: tuple[LayoutMeasurement, ...]) -> LayoutMeasurement:
    """The one with the most rows a second, if clearly; the first otherwise."""
    best = max(measurements, key=lambda one: one.rows_per_second)
    return best if best.rows_per_second > MIN_LAYOUT_GAIN * measurements[0].rows_per_second else measurements[0]


def choose_plan(
    measurement: LayoutMeasurement,
    *,
    has_fixed_cost: bool,
    linger_seconds: float | None = None,
    rows_are_independent: bool = False,
) -> ExecutionPlan:
    """`has_fixed_cost`: the time of a run depends on its rows alone. `linger_seconds` overrules the choice."""
    run_seconds = measurement.seconds_by_rows[1]
    max_rows = _worthwhile_rows(measurement.seconds_by_rows)
    inline = has_fixed_cost and _is_better_inline(measurement, max_rows)
    if linger_seconds is None:
        linger_seconds = 0.0 if inline or max_rows == 1 else min(MAX_LINGER_SECONDS, run_seconds / 4)
    return ExecutionPlan(measurement.layout, max_rows, linger_seconds, inline, run_seconds, rows_are_independent)


def _worthwhile_rows(seconds_by_rows: Mapping[int, float]) -> int:
    # A batch is handed to its thread once, which counts where a run takes no longer than that.
    rates = {rows: rows / (seconds + THREAD_HANDOFF_SECONDS) for rows, seconds in sorted(seconds_by_rows.items())}
    chosen = 1
    for rows, rate in rates.items():
        if rate / rates[chosen] >= MIN_BATCH_GAIN:
            chosen = rows
    return chosen if rates[chosen] / rates[1] >= MIN_BATCHING_GAIN else 1


def inline_width(layout: ThreadLayout, max_rows: int, seconds_by_width: Mapping[int, float]) -> int:
    """The most tokens whose runs of `max_rows` texts, of so many seconds, are better done without another thread."""
    width = 0
    for tokens, seconds in sorted(seconds_by_width.items()):
        if not _is_short(layout, max_rows, seconds, TEXT_REQUEST_SECONDS):
            break
        width = tokens
    return width


def inline_rows(layout: ThreadLayout, seconds_by_rows: Mapping[int, float]) -> int:
    """The most texts whose run, of so many seconds, is better done without another thread; 0 where none is."""
    short = [
        rows for rows, seconds in seconds_by_rows.items() if _is_short(layout, rows, seconds, TEXT_REQUEST_SECONDS)
    ]
    return max(short, default=0)


def most_padding(width: int, seconds_by_rows: Mapping[int, float]) -> int:
    """As many tokens as cost what a run costs beside them; `seconds_by_rows` are of texts of `width` tokens."""
    most = max(seconds_by_rows)
    if most == 1:
        return ANY_PADDING
    seconds_per_token = (seconds_by_rows[most] - seconds_by_rows[1]) / ((most - 1) * width)
    beside = THREAD_HANDOFF_SECONDS + seconds_by_rows[1] - width * seconds_per_token
    return ANY_PADDING if seconds_per_token <= 0 else max(0, min(ANY_PADDING, int(beside / seconds_per_token)))


def _is_better_inline(measurement: LayoutMeasurement, max_rows: int) -> bool:
    return _is_short(measurement.layout, max_rows, measurement.seconds_by_rows[max_rows], REQUEST_SECONDS)


def _is_short(layout: ThreadLayout, max_rows: int, seconds: float, request_seconds: float) -> bool:
    """Inline, all work is one after the other; in threads, runs overlap but every batch costs a hand-off."""
    if seconds > MAX_INLINE_SECONDS:
        return False
    inline = seconds + max_rows * request_seconds
    python = THREAD_HANDOFF_SECONDS + max_rows * request_seconds
    threaded = max(python, seconds / layout.runs_at_once)
    return inline <= threaded * MIN_LAYOUT_GAIN


def process_count(plan: ExecutionPlan, cpus: int, model_bytes: int, own_bytes: int, limit_bytes: int | None) -> int:
    """One for each CPU where Python's time is all that counts and another copy of the model costs little; else one.

    Larger models run in threads of one process: the runtime lets go of Python's lock while it computes. `own_bytes` is
    what this process takes now, `limit_bytes` what the container may take; half of that is left to requests.
    """
    if not plan.runs_inline or model_bytes > MAX_COPIED_MODEL_BYTES:
        return 1
    fitting = MAX_PROCESSES if limit_bytes is None else limit_bytes // 2 // max(1, own_bytes)
    return max(1, min(cpus, fitting, MAX_PROCESSES))
