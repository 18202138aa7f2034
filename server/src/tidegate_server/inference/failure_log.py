"""One line per failure of a kind, but not more than one a second: a bad model at full load must not fill a disk."""

import logging

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 1.0


class FailureLog:
    """Logs failures. One thread at a time may use it."""

    def __init__(self, what: str = "the model failed on an input") -> None:
        """The first failure is logged. `what` begins each line."""
        self._what = what
        self._silent_until = float("-inf")
        self._unsaid = 0

    def write(self, detail: str, now: float, error: BaseException | None = None) -> None:
        """Logs a failure, or counts it for the next line. `now` in seconds of a monotonic clock.

        Where there is an `error`, the line has its traceback.
        """
        if now < self._silent_until:
            self._unsaid += 1
            return
        self._silent_until = now + SECONDS_BETWEEN_LINES
        unsaid, self._unsaid = self._unsaid, 0
        log.error("%s (and %d times before, unsaid): %s", self._what, unsaid, detail, exc_info=error)
