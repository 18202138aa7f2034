"""Reads the counters of the router and of all model servers once a second, as a Prometheus would."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import Protocol

from prometheus_client.parser import text_string_to_metric_families

from tidegate.rehearsal.series_store import KEPT, SeriesStore

SECONDS = 1.0
"""From one reading to the next."""
log = logging.getLogger(__name__)


class Target(Protocol):
    """A process that counts."""

    def metrics(self) -> str | None:
        """Its exposition text; None where it doesn't answer."""


Targets = Callable[[], Sequence[tuple[Mapping[str, str], Target]]]
"""All that are to be read now, each with the labels that tell it from the others."""


class Scraper:
    """Fills a store inside of `running`."""

    def __init__(self, store: SeriesStore, targets: Targets) -> None:
        self._store, self._targets = store, targets
        self._stopped = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Inside, it reads in a thread."""
        thread = threading.Thread(target=self._run, name="scraper", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            thread.join()

    def _run(self) -> None:
        due = monotonic()
        while not self._stopped.wait(max(0.0, due - monotonic())):
            due = max(due + SECONDS, monotonic())
            for labels, target in self._targets():
                try:
                    self._read(labels, target)
                except Exception:
                    log.exception("the counters of %s can't be read", labels.get("pod"))

    def _read(self, labels: Mapping[str, str], target: Target) -> None:
        text = target.metrics()
        if text is not None:
            at = datetime.now(UTC).timestamp()  # noqa: TID251 - when a process was asked
            self._store.add(at, _series(text, labels))


def _series(text: str, labels: Mapping[str, str]) -> Iterator[tuple[Mapping[str, str], float]]:
    # Most of Envoy's series are about itself, and reading them takes longer than all the rest.
    wanted = "\n".join(line for line in text.splitlines() if line.startswith(KEPT))
    for family in text_string_to_metric_families(f"{wanted}\n"):
        for sample in family.samples:
            yield {**sample.labels, **labels, "__name__": sample.name}, sample.value
