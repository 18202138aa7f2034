"""Routers that are asked themselves, as a source of readings: their answers go through the merge of raw samples."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from tidegate.metrics.increments import Process, Sample
from tidegate.metrics.observers.envoy import RouterCounters, key_of
from tidegate.metrics.provider import DirectReadings, Readings
from tidegate.metrics.providers.router_samples import ModelView, RouterSamples
from tidegate.metrics.raw_series import read_at


def no_samples(clock: Callable[[], float]) -> RouterSamples:
    """What a poller is to fill; `clock` gives the operator's time in seconds since 1970."""
    return RouterSamples(clock, key_of)


class Poller(Protocol):
    """Whoever asks the routers."""

    def watch(self, namespace: str, name: str, revisions: Collection[str], *, quick: bool) -> None: ...
    def forget(self, namespace: str, name: str) -> None: ...


class DirectRouters:
    """A DirectSource: a poller fills the samples, and readings are made of them."""

    def __init__(self, samples: RouterSamples, poller: Poller) -> None:
        self._samples, self._poller = samples, poller

    def watch(self, namespace: str, name: str, revisions: Collection[str], *, quick: bool) -> None:
        """See DirectSource."""
        self._poller.watch(namespace, name, revisions, quick=quick)

    def forget(self, namespace: str, name: str) -> None:
        """See DirectSource."""
        self._poller.forget(namespace, name)

    def since(self, namespace: str, name: str, after: datetime) -> DirectReadings | None:
        """See DirectSource."""
        view = self._samples.view((namespace, name), after.timestamp())
        if not view.anybody:
            return None
        instants = [datetime.fromtimestamp(at, UTC) for at in view.rounds]
        return DirectReadings(instants, _readings(view, namespace, name, instants), view.still, view.known_as)


def _readings(view: ModelView, namespace: str, name: str, instants: list[datetime]) -> Readings:
    if not instants:
        return Readings([])
    if view.plain:
        return Readings(view.plain)
    query = RouterCounters(namespace, name, ("[^/]+",), preview=True, latency=True)
    found = read_at(view, query, instants)
    samples = [
        {**_with_starts(sample, view.starts), **latency}
        for sample, latency in zip(found.samples, view.latency, strict=True)
    ]
    return Readings(samples, found.newest, found.interval, found.doubt)


def _with_starts(sample: Sample, starts: Mapping[Process, Sequence[float]]) -> Sample:
    """Each counter knows when its process began: whoever has read it before, by another way, may not."""
    newest = {owner: of_owner[-1] for owner, of_owner in starts.items()}
    return {
        key: counted._replace(restarted=max(counted.restarted or 0.0, newest.get(key.owner, 0.0)))
        for key, counted in sample.items()
    }
