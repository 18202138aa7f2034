"""What the model servers count, each pod by itself. What never reached a server, or died with it, isn't in it."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import partial

from tidegate.metrics.increments import (
    ALL,
    ANSWERED,
    ASKED,
    BETWEEN,
    CLASS,
    DURATION,
    FAILED_IN_POD,
    SCORE,
    TRAINED,
    Process,
    SeriesKey,
)
from tidegate.metrics.observers.scraped import ScrapedSource
from tidegate.metrics.provider import STALE, CounterQuery, MetricsProvider, Selection, Signal, StartGauge
from tidegate.model.evidence import MetricsGap
from tidegate.model.reasons import Reason

_NO_SERIES = MetricsGap(
    Reason.NO_SERVER_SERIES,
    "Prometheus has no counters of the model servers of {case}; check that it scrapes their pods (port 8082, /metrics)",
)


LIVE, UNMARKED = 'traffic=""', 'traffic="direct"'
"""What came by preview header, or past the router, has a label that says so, and is no evidence: but for a route that
marks nothing, whose requests look as if they had come past it."""
_START = StartGauge("process_start_time_seconds", counts_up=False)


_REQUESTS = "tidegate_server_requests_total"
_NAMES: Mapping[str, tuple[str, str]] = {
    "tidegate_server_request_duration_seconds_bucket": (DURATION, "le"),
    _REQUESTS: (FAILED_IN_POD, "code"),
    "tidegate_server_predictions_total": (CLASS, "class"),
    "tidegate_server_prediction_score_bucket": (SCORE, "le"),
}
_OF_INPUTS: Mapping[str, str] = {
    "tidegate_server_input_values_total": ASKED,
    "tidegate_server_input_training_values": TRAINED,
}
_OF_PODS, _OF_PREDICTIONS = list(_NAMES)[:2], list(_NAMES)[2:]


class ServerCounters:
    """Latency, failures and predictions, pod by pod. One query for all."""

    start = _START
    names: Iterable[str] = _NAMES

    def __init__(
        self, namespace: str, name: str, revisions: Iterable[str], looks_back: timedelta = STALE, *, came: str = LIVE
    ) -> None:
        self.looks_back = looks_back
        self._owner = f"{namespace}/{name}"
        self.promql = (
            f'{{__name__=~"{"|".join(self.names)}",model_deployment="{self._owner}",'
            f'revision=~"{"|".join(revisions)}",{came},code=~"|429|5.."}}'
        )

    def with_start(self, target: str) -> str:
        """See CounterQuery."""
        return _with_start(self._owner, target)

    def is_start(self, labels: Mapping[str, str]) -> bool:
        """See CounterQuery."""
        return labels["__name__"] == self.start.name

    def key(self, labels: Mapping[str, str]) -> SeriesKey | None:
        """See CounterQuery."""
        measure, label = _NAMES[labels["__name__"]]
        return SeriesKey(Process.of(labels), labels["revision"], measure, labels[label])


class PredictionCounters(ServerCounters):
    """What was answered, and nothing else."""

    names = _OF_PREDICTIONS


class InputCounters(ServerCounters):
    """What was asked, and the training data, in the bins of a profile."""

    names = _OF_INPUTS

    def __init__(
        self, namespace: str, name: str, revisions: Iterable[str], looks_back: timedelta = STALE, *, came: str = LIVE
    ) -> None:
        super().__init__(namespace, name, revisions, looks_back, came='traffic=~"|direct"')
        self._came = "" if came == LIVE else "direct"

    def key(self, labels: Mapping[str, str]) -> SeriesKey | None:
        """See CounterQuery. The training data came in no way at all."""
        measure = _OF_INPUTS[labels["__name__"]]
        if measure == ASKED and labels.get("traffic", "") != self._came:
            return None
        return SeriesKey(
            Process.of(labels), labels["revision"], measure, f"{labels['feature']}{BETWEEN}{labels['bin']}"
        )


class PodCounters(ServerCounters):
    """What pods did: failures, and requests up to a few bounds of latency."""

    names = _OF_PODS

    def __init__(
        self,
        namespace: str,
        name: str,
        revisions: Iterable[str],
        bounds: Iterable[str],
        looks_back: timedelta = STALE,
        *,
        came: str = LIVE,
    ) -> None:
        super().__init__(namespace, name, revisions, looks_back, came=came)
        wanted = "|".join(bound.replace("+", r"\\+") for bound in dict.fromkeys((*bounds, ALL)))
        self.promql = f'{self.promql.removesuffix("}")},le=~"|{wanted}"}}'


class ServerRequests:
    """Requests and failures where the routers' counters can't be had or name no revision."""

    start = _START
    looks_back = STALE

    def __init__(self, namespace: str, name: str, revisions: Iterable[str] | None, *, came: str = LIVE) -> None:
        wanted = ".+" if revisions is None else "|".join(revisions)
        self._owner = f"{namespace}/{name}"
        self.promql = f'{_REQUESTS}{{model_deployment="{self._owner}",revision=~"{wanted}",{came}}}'

    def with_start(self, target: str) -> str:
        """See CounterQuery."""
        return _with_start(self._owner, target)

    def is_start(self, labels: Mapping[str, str]) -> bool:
        """See CounterQuery."""
        return labels["__name__"] == self.start.name

    def key(self, labels: Mapping[str, str]) -> SeriesKey | None:
        """See CounterQuery."""
        return SeriesKey(Process.of(labels), labels["revision"], ANSWERED, labels["code"])


def _with_start(owner: str, target: str) -> str:
    return f'{{__name__=~"{_START.name}|{_REQUESTS}",model_deployment=~"|{owner}",{target}}}'


def server_traffic(provider: MetricsProvider, *, came: str = LIVE) -> ScrapedSource:
    """Requests and failures as the model servers count them; `came` chooses those that are evidence."""
    provides = frozenset({Signal.REQUESTS, Signal.FAILURES})
    query = partial(_requests, came=came)
    return ScrapedSource(provider, "model servers", provides, query, _NO_SERIES, reads_arms_apart=True)


def server_details(provider: MetricsProvider, *, came: str = LIVE) -> ScrapedSource:
    """Latency, predictions and each pod's counts."""
    provides = frozenset({Signal.LATENCY, Signal.PREDICTIONS, Signal.PODS})
    return ScrapedSource(provider, "model servers", provides, partial(_details, came=came), _NO_SERIES)


def _requests(wanted: Selection, *, came: str = LIVE) -> CounterQuery:
    return ServerRequests(wanted.namespace, wanted.name, wanted.revisions, came=came)


def _details(wanted: Selection, *, came: str = LIVE) -> CounterQuery:
    revisions = (".+",) if wanted.revisions is None else wanted.revisions
    if wanted.bounds is not None:
        return PodCounters(wanted.namespace, wanted.name, revisions, wanted.bounds, wanted.looks_back, came=came)
    if wanted.only_inputs:
        return InputCounters(wanted.namespace, wanted.name, revisions, wanted.looks_back, came=came)
    kind = PredictionCounters if wanted.only_predictions else ServerCounters
    return kind(wanted.namespace, wanted.name, revisions, wanted.looks_back, came=came)
