"""Whether small batches run in the event loop's own thread, decided anew by what they really take. Pure."""

from collections import deque

SLOW_RUN_SECONDS = 0.05
"""Of CPU time: a machine that pauses, or a quota that is used up, says nothing about the model."""
MAX_SLOW_RUNS, WINDOW_RUNS = 10, 1000


class InlineRuns:
    """Belongs to the event loop's thread."""

    def __init__(self, *, planned: bool) -> None:
        """`planned`: what was measured at warm-up. Where that said no, they never do."""
        self.are_on = planned
        self._planned = planned
        self._runs = 0
        self._slow_runs: deque[int] = deque(maxlen=MAX_SLOW_RUNS)

    def ran(self, cpu_seconds: float) -> bool:
        """A small batch has run, in whichever thread. True where that has changed where the next ones run."""
        if not self._planned:
            return False
        self._runs += 1
        if cpu_seconds > SLOW_RUN_SECONDS:
            self._slow_runs.append(self._runs)
        slow = self._slow_runs
        if self.are_on:
            turns = len(slow) == MAX_SLOW_RUNS and self._runs - slow[0] < WINDOW_RUNS
        else:
            turns = not slow or self._runs - slow[-1] >= WINDOW_RUNS
        if turns:
            self.are_on = not self.are_on
        return turns
