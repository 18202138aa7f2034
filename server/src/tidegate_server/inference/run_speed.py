"""How long what waits will take, from how long the latest runs took. Pure."""

WEIGHT_OF_LATEST = 0.2


class RunSpeed:
    """Seconds that a row takes while all threads are busy."""

    def __init__(self, seconds_per_row: float, runs_at_once: int) -> None:
        """`seconds_per_row`: of one thread, until the first run says better."""
        self._seconds_per_row, self._runs_at_once = seconds_per_row, runs_at_once

    def ran(self, rows: int, seconds: float) -> None:
        """A batch of `rows` took one thread `seconds`."""
        measured = seconds / max(1, rows)
        known = self._seconds_per_row
        self._seconds_per_row = known + WEIGHT_OF_LATEST * (measured - known) if known else measured

    def seconds(self, rows: int) -> float:
        """Until so many rows have run."""
        return rows * self._seconds_per_row / self._runs_at_once
