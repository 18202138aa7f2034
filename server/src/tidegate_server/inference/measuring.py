"""How long a model's runs take, by their rows and by how the CPUs are shared. Bounded in time, memory and waiting."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from threading import Barrier, Thread
from time import perf_counter

from tidegate_server.errors import ModelFailed
from tidegate_server.inference.accepted_inputs import repeated
from tidegate_server.inference.execution_plan import (
    CLEAR_BATCH_GAINS,
    MAX_BATCH_SECONDS,
    MAX_INLINE_SECONDS,
    MIN_BATCH_GAIN,
    LayoutMeasurement,
    ThreadLayout,
)
from tidegate_server.inference.trial_runs import TrialRuns
from tidegate_server.protocol.padding import Padding
from tidegate_server.protocol.tensors import Array

MIN_RUNS, MAX_RUNS = 3, 200
SECONDS_PER_MEASUREMENT = 0.1
LONG_RUN_SECONDS = 0.3
"""So long a run is measured once."""
FRUITLESS_DOUBLINGS = 2
ATTEMPTS = 2

Row = dict[str, Array]


def measure(runs: TrialRuns, layout: ThreadLayout, row: Row, max_rows: int) -> LayoutMeasurement:
    """Of 1, 2, 4, … rows, as long as it brings something and stays within the bounds. Raises ModelFailed for one."""
    seconds_by_rows = {1: _best_seconds(partial(runs.run_untimed, row))}
    fruitless = 0
    for rows in _doublings(max_rows):
        before, best_rate = max(seconds_by_rows), max(map(partial(_rate, seconds_by_rows), seconds_by_rows))
        if not _is_worth_trying(runs, layout, rows, seconds_by_rows[before] * rows / before):
            break
        try:
            seconds_by_rows[rows] = _seconds_of_batch(runs, row, rows)
        except ModelFailed:
            break
        gain = _rate(seconds_by_rows, rows) / best_rate
        if MIN_BATCH_GAIN / CLEAR_BATCH_GAINS < gain < MIN_BATCH_GAIN * CLEAR_BATCH_GAINS:
            _measure_again(runs, row, seconds_by_rows, (before, rows))
        fruitless = 0 if gain >= MIN_BATCH_GAIN else fruitless + 1
        if fruitless == FRUITLESS_DOUBLINGS:
            break
    best = max(seconds_by_rows, key=partial(_rate, seconds_by_rows))
    return LayoutMeasurement(layout, seconds_by_rows, best * _runs_per_second(runs, layout, row, best, seconds_by_rows))


def seconds_by_width(runs: TrialRuns, row: Row, rows: int, padding: Padding, widths: Sequence[int]) -> dict[int, float]:
    """Of so many texts, each lengthened to so many tokens; as long as it is quick."""
    found: dict[int, float] = {}
    for width in widths:
        texts = repeated({name: padding.padded(name, array, width) for name, array in row.items()}, rows)
        try:
            runs.run(texts)
            found[width] = _best_seconds(partial(runs.run_untimed, texts))
        except ModelFailed:
            break
        if found[width] > MAX_INLINE_SECONDS:
            break
    return found


def seconds_by_texts(runs: TrialRuns, row: Row, most: int) -> dict[int, float]:
    """Of so many texts of one length; as long as it is quick."""
    found: dict[int, float] = {}
    for rows in (1, *_doublings(most)):
        texts = repeated(row, rows)
        try:
            runs.run(texts)
            found[rows] = _best_seconds(partial(runs.run_untimed, texts))
        except ModelFailed:
            break
        if found[rows] > MAX_INLINE_SECONDS:
            break
    return found


def _doublings(max_rows: int) -> Iterator[int]:
    rows = 2
    while rows < max_rows:
        yield rows
        rows *= 2
    if max_rows > 1:
        yield max_rows


def _is_worth_trying(runs: TrialRuns, layout: ThreadLayout, rows: int, seconds: float) -> bool:
    """Not where it takes longer than a request should wait for strangers, more memory than there is, or too long."""
    has_memory = runs.fits(rows) and runs.can_serve(rows * layout.runs_at_once)
    return seconds <= MAX_BATCH_SECONDS and has_memory and runs.seconds_left > MIN_RUNS * seconds


def _seconds_of_batch(runs: TrialRuns, row: Row, rows: int) -> float:
    inputs = repeated(row, rows)
    with runs.counting_bytes(rows):
        runs.run(inputs)
    return _best_seconds(partial(runs.run_untimed, inputs))


def _measure_again(runs: TrialRuns, row: Row, seconds_by_rows: dict[int, float], which: tuple[int, ...]) -> None:
    """What decides by little is measured twice, so that every replica decides alike."""
    for rows in which:
        if runs.seconds_left > SECONDS_PER_MEASUREMENT + MIN_RUNS * seconds_by_rows[rows]:
            again = _best_seconds(partial(runs.run_untimed, repeated(row, rows)))
            seconds_by_rows[rows] = min(again, seconds_by_rows[rows])


def _rate(seconds_by_rows: dict[int, float], rows: int) -> float:
    return rows / seconds_by_rows[rows]


def _best_seconds(run: Callable[[], object]) -> float:
    """The least of several: whatever disturbs a run only makes it longer."""
    times: list[float] = []
    began = perf_counter()
    while len(times) < MIN_RUNS or (len(times) < MAX_RUNS and perf_counter() - began < SECONDS_PER_MEASUREMENT):
        start = perf_counter()
        run()
        times.append(perf_counter() - start)
        if times[-1] > LONG_RUN_SECONDS:
            break
    return min(times)


def _runs_per_second(
    runs: TrialRuns, layout: ThreadLayout, row: Row, rows: int, seconds_by_rows: dict[int, float]
) -> float:
    """Of all slots together; where that can't be tried, as if they didn't disturb one another."""
    seconds = seconds_by_rows[rows]
    at_once = layout.runs_at_once
    is_bounded = runs.seconds_left > 2 * ATTEMPTS * MIN_RUNS * seconds and runs.fits(rows * at_once)
    if not is_bounded:
        return at_once / seconds
    count = max(MIN_RUNS, min(MAX_RUNS, int(SECONDS_PER_MEASUREMENT / seconds)))
    run = partial(runs.run_untimed, repeated(row, rows))
    return max(_at_once(run, at_once, count) for _ in range(ATTEMPTS))


def _at_once(run: Callable[[], object], threads: int, runs: int) -> float:
    start = Barrier(threads + 1)

    def work() -> None:
        start.wait()
        for _ in range(runs):
            run()

    all_threads = [Thread(target=work, daemon=True) for _ in range(threads)]
    for thread in all_threads:
        thread.start()
    start.wait()
    began = perf_counter()
    for thread in all_threads:
        thread.join()
    return runs * threads / (perf_counter() - began)
