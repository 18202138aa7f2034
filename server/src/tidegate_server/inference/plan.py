"""How the CPUs are shared between runs, chosen from what was measured at warm-up. Pure.

Three questions, one answer for each model: does a run use one thread or all of them; how many rows go into one run;
and is a run so short that handing it to another thread would cost more than the run itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from tidegate_server.protocol.signature import Signature, TensorSpec

HAND_OVER_SECONDS = 60e-6
"""What giving a batch to another thread and its result back costs in Python; measured, and only its order matters."""
REQUEST_SECONDS = 20e-6
"""What reading and answering one small request costs, in which no other Python code runs."""
LONGEST_INLINE_SECONDS = 1e-3
"""The event loop reads and writes nothing meanwhile."""
WORTHWHILE = 1.1
"""A larger batch has to bring this much more than the one before it, or its latency buys nothing."""
CLEARLY_BETTER = 1.2
"""Measurements of a few milliseconds on shared cores are noisy; the plain choice wins unless it's clear."""
LONGEST_LINGER_SECONDS = 2e-3
WORTH_SPLITTING_SECONDS = 0.5e-3
"""A shorter run has no operator long enough for several threads to gain by it."""
SYMBOLIC_SAMPLE = 16
LARGEST_TO_COPY = 64 * 2**20
MOST_PROCESSES = 4
"""Without a quota a container sees all cores of its node, and they aren't its own."""


@dataclass(frozen=True)
class Split:
    """Of the CPUs: `threads_per_run` for each of `runs_at_once`."""

    threads_per_run: int
    runs_at_once: int


@dataclass(frozen=True)
class Measured:
    """Seconds of one run by its rows, and rows a second of `split` at its best."""

    split: Split
    seconds_by_rows: Mapping[int, float]
    rows_per_second: float


@dataclass(frozen=True)
class Plan:
    """What the engine goes by."""

    split: Split
    max_rows: int
    """1: every request runs alone."""
    linger_seconds: float
    """How long a free run slot waits for company while another run is going on."""
    inline: bool
    """Small requests run in the event loop's own thread."""
    run_seconds: float
    """Of one row; 0 where nothing could be measured."""


def splits(cpus: int) -> tuple[Split, ...]:
    """The ways worth measuring; the first is the plain choice."""
    each_run_one = Split(threads_per_run=1, runs_at_once=cpus)
    return (each_run_one,) if cpus == 1 else (each_run_one, Split(threads_per_run=cpus, runs_at_once=1))


def unmeasured(cpus: int) -> Plan:
    """For a model that refuses blank inputs."""
    return Plan(splits(cpus)[0], max_rows=1, linger_seconds=0.0, inline=False, run_seconds=0.0)


def best_split(measured: tuple[Measured, ...]) -> Measured:
    """The one with the most rows a second, if clearly; the first otherwise."""
    best = max(measured, key=lambda one: one.rows_per_second)
    return best if best.rows_per_second > CLEARLY_BETTER * measured[0].rows_per_second else measured[0]


def choose(measured: Measured, *, steady: bool, linger_seconds: float | None = None) -> Plan:
    """`steady`: the time of a run depends on its rows alone. `linger_seconds` overrules the choice."""
    run_seconds = measured.seconds_by_rows[1]
    max_rows = _worthwhile_rows(measured.seconds_by_rows)
    inline = steady and _is_better_inline(measured, max_rows)
    if linger_seconds is None:
        linger_seconds = 0.0 if inline or max_rows == 1 else min(LONGEST_LINGER_SECONDS, run_seconds / 4)
    return Plan(measured.split, max_rows, linger_seconds, inline, run_seconds)


def _worthwhile_rows(seconds_by_rows: Mapping[int, float]) -> int:
    chosen = 1
    for rows in sorted(seconds_by_rows):
        gain = (rows / seconds_by_rows[rows]) / (chosen / seconds_by_rows[chosen])
        if gain >= WORTHWHILE:
            chosen = rows
    return chosen


def _is_better_inline(measured: Measured, max_rows: int) -> bool:
    """Inline, all work is one after the other; in threads, runs overlap but every batch is handed over."""
    seconds = measured.seconds_by_rows[max_rows]
    if seconds > LONGEST_INLINE_SECONDS:
        return False
    inline = seconds + max_rows * REQUEST_SECONDS
    python = HAND_OVER_SECONDS + max_rows * REQUEST_SECONDS
    threaded = max(python, seconds / measured.split.runs_at_once)
    return inline <= threaded * CLEARLY_BETTER


def processes_for(plan: Plan, cpus: int, model_bytes: int, own_bytes: int, limit_bytes: int | None) -> int:
    """One for each CPU where Python's time is all that counts and another copy of the model costs little; else one.

    Larger models run in threads of one process: the runtime lets go of Python's lock while it computes. `own_bytes` is
    what this process takes now, `limit_bytes` what the container may take; half of that is left to requests.
    """
    if not plan.inline or model_bytes > LARGEST_TO_COPY:
        return 1
    fitting = MOST_PROCESSES if limit_bytes is None else limit_bytes // 2 // max(1, own_bytes)
    return max(1, min(cpus, fitting, MOST_PROCESSES))


# --- what the graph says of itself


def may_batch(signature: Signature) -> bool:
    """Every input and output begins with a variable dimension, and those that have a name have one name."""
    tensors = (*signature.inputs, *signature.outputs)
    first = [spec.dimensions[0] if spec.dimensions else 1 for spec in tensors]
    if not tensors or any(isinstance(size, int) and size >= 0 for size in first):
        return False
    # Outputs' dimensions are often named by no rule at all; inputs' names are the exporter's word.
    names = {size for size in first[: len(signature.inputs)] if isinstance(size, str)}
    return len(names) <= 1


def elements_per_row(signature: Signature) -> int | None:
    """Of all inputs together; None where more than the first dimension varies."""
    if not all(_is_fixed_after_first(spec) for spec in signature.inputs):
        return None
    return sum(prod(spec.shape[1:]) for spec in signature.inputs)


def _is_fixed_after_first(spec: TensorSpec) -> bool:
    return bool(spec.shape) and all(size >= 0 for size in spec.shape[1:])
