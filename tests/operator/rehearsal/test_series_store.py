"""What was scraped is there at its times, and nothing else is."""

from datetime import UTC, datetime, timedelta

import pytest

from tidegate.errors import MetricsUnavailable
from tidegate.metrics.increments import REQUESTS, Process, SeriesKey
from tidegate.metrics.observers.envoy import RouterCounters
from tidegate.rehearsal.series_store import MOST_SAMPLES, SeriesStore

AT = datetime(2026, 5, 1, tzinfo=UTC)
COMPLETED = {
    "__name__": "envoy_cluster_upstream_rq_completed",
    "envoy_cluster_name": "rehearsal/model/stable",
    "namespace": "rehearsal",
    "pod": "router",
}


def instant(seconds: float) -> float:
    return AT.timestamp() + seconds


def test_samples_are_told_between_two_instants() -> None:
    store = SeriesStore()
    for second in range(5):
        store.add(instant(second), [(COMPLETED, 10.0 * second)])
    (found,) = store.raw(COMPLETED["__name__"], AT, AT + timedelta(seconds=2))
    assert found.samples == [(instant(1), 10.0), (instant(2), 20.0)]


def test_a_source_reads_its_counters_from_it() -> None:
    store = SeriesStore()
    for second in range(5):
        store.add(instant(second), [(COMPLETED, 10.0 * second)])
    query = RouterCounters("rehearsal", "model", ("stable",))
    read = store.readings(query, AT + timedelta(seconds=2), timedelta(seconds=2), 2)
    key = SeriesKey(Process("rehearsal", "router"), "stable", REQUESTS)
    assert [sample[key].value for sample in read.samples] == [20.0, 40.0]


def test_what_no_source_asks_for_is_not_kept_nor_what_is_older_than_the_last() -> None:
    store = SeriesStore()
    store.add(instant(1), [(COMPLETED, 1.0), ({"__name__": "envoy_http_downstream_rq"}, 1.0)])
    store.add(instant(0), [(COMPLETED, 5.0)])
    assert [each.samples for each in store.raw('{__name__=~".+"}', AT, AT + timedelta(seconds=9))] == [
        [(instant(1), 1.0)]
    ]


def test_it_does_not_grow_for_ever() -> None:
    store = SeriesStore()
    for second in range(MOST_SAMPLES + 10):
        store.add(instant(second), [(COMPLETED, 1.0)])
    (found,) = store.raw(COMPLETED["__name__"], AT - timedelta(days=1), AT + timedelta(days=1))
    assert len(found.samples) == MOST_SAMPLES


def test_own_promql_is_refused() -> None:
    with pytest.raises(MetricsUnavailable, match="no Prometheus"):
        SeriesStore().series("sum(a)", AT, timedelta(seconds=1), 1)
