"""The measured operator: `python -m` this module FILE runs `tidegate operator` and notes when each look began.

The file gets a line for each look: seconds since 1970, the object, and for how long it had been due. What is run is the
code that Python finds first, which may be an older one; all it has to have is a WorkQueue that is given `reconcile`.
"""

import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tidegate.controller import startup
from tidegate.controller.workqueue import WorkQueue

Reconcile = Callable[[str, str, datetime], timedelta | None]


class Looks:
    """Wraps `reconcile`: whoever is to be looked at again in 5 s, and is after 7, was 2 s late."""

    def __init__(self, reconcile: Reconcile, place: Path) -> None:
        self._reconcile = reconcile
        self._file = place.open("a", buffering=1)
        self._due: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def __call__(self, namespace: str, name: str, now: datetime) -> timedelta | None:
        began = time.monotonic()
        late = max(0.0, began - self._due.pop((namespace, name), began))
        again: timedelta | None = None
        try:
            again = self._reconcile(namespace, name, now)
            return again
        finally:
            ended = time.monotonic()
            if again is not None:
                self._due[(namespace, name)] = ended + again.total_seconds()
            with self._lock:
                self._file.write(f"{time.time():.3f} {namespace}/{name} {late:.4f} {ended - began:.4f}\n")  # noqa: TID251


def main(place: str) -> int:
    """Runs until it is ended."""

    class Observed(WorkQueue):
        def __init__(self, reconcile: Reconcile, *given: Any, **named: Any) -> None:
            super().__init__(Looks(reconcile, Path(place)), *given, **named)

    startup.WorkQueue = Observed  # type: ignore[attr-defined] # that is what is wrapped
    return startup.main([])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
