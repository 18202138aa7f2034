"""One line per failed inference, but not more than one a second: a bad model at full load must not fill a disk."""

import logging

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 1.0


class FailureLog:
    """Logs failures of the model. One thread at a time may use it."""

    def __init__(self) -> None:
        """The first failure is logged."""
        self._silent_until = float("-inf")
        self._unsaid = 0

    def write(self, detail: str, now: float) -> None:
        """Logs a failure, or counts it for the next line. `now` in seconds of a monotonic clock."""
        if now < self._silent_until:
            self._unsaid += 1
            return
        self._silent_until = now + SECONDS_BETWEEN_LINES
        unsaid, self._unsaid = self._unsaid, 0
        log.error("the model failed on an input (and on %d before, unsaid): %s", unsaid, detail)
