"""Requests whose clients gave up are told from what a router counts beside its answers, and nothing else is."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.metrics.falls import Scraped
from tidegate.metrics.increments import ABANDONED, Process, SeriesKey, counter_increases, counts_of
from tidegate.metrics.observers.envoy import RouterCounters
from tidegate.metrics.provider import Readings
from tidegate.metrics.raw_series import read
from tidegate.model.evidence import Counts

AT = datetime(2026, 1, 1, tzinfo=UTC)
SECOND, EACH = timedelta(seconds=1), 15
NOTHING = {
    "rq_total": 0,
    "rq_completed": 0,
    "rq_active": 0,
    "rq_retry": 0,
    "rq_cancelled": 0,
    "rq_pending_failure_eject": 0,
    "rq_pending_overflow": 0,
    "cx_none_healthy": 0,
}
Scrape = Mapping[str, int]


class Store:
    """What one router showed at each scrape, the last one at AT; `jobs` scrape it, each some seconds later."""

    def __init__(self, scrapes: Sequence[Scrape], jobs: int = 1, uptime: float | None = None) -> None:
        self._scrapes, self._jobs, self._uptime = scrapes, jobs, uptime

    def raw(self, promql: str, since: datetime, until: datetime) -> Sequence[Scraped]:
        if "envoy_server_uptime" in promql:
            labels = {"__name__": "envoy_server_uptime", "pod": "r"}
            return [Scraped(labels, [(AT.timestamp(), self._uptime)])] if self._uptime is not None else []
        names = dict.fromkeys(name for scrape in self._scrapes for name in scrape)
        return [self._series(name, job, until) for name in names for job in range(self._jobs)]

    def _series(self, name: str, job: int, until: datetime) -> Scraped:
        labels = {
            "__name__": f"envoy_cluster_upstream_{name}",
            "envoy_cluster_name": "shop/digits/a",
            "pod": "r",
            "job": f"{job}",
        }
        first = AT.timestamp() - EACH * (len(self._scrapes) - 1) + 4 * job
        samples = [(first + EACH * n, float(each[name])) for n, each in enumerate(self._scrapes) if name in each]
        return Scraped(labels, [sample for sample in samples if sample[0] <= until.timestamp()])


def shown(**counted: int) -> Scrape:
    return {**NOTHING, **counted}


def readings(*scrapes: Scrape, jobs: int = 1, uptime: float | None = None) -> Readings:
    """At each scrape."""
    start = AT - (len(scrapes) - 1) * EACH * SECOND
    store, query = Store(scrapes, jobs, uptime), RouterCounters("shop", "digits", ("a",))
    return read(store, query, start, EACH * SECOND, len(scrapes) if jobs == 1 else len(scrapes) + 1)


def gained(*scrapes: Scrape, jobs: int = 1, uptime: float | None = None) -> list[Counts]:
    samples = readings(*scrapes, jobs=jobs, uptime=uptime).samples
    return [counts_of("a", counter_increases(before, after)) for before, after in itertools.pairwise(samples)]


def test_requests_that_clients_gave_up_are_requests_that_failed() -> None:
    found = gained(shown(), shown(rq_total=30, rq_completed=20), shown(rq_total=30, rq_completed=20))

    assert found == [Counts(20), Counts(10, 10, abandoned=10)]


@pytest.mark.parametrize(
    "counted",
    [
        pytest.param({"rq_total": 30, "rq_completed": 30}, id="answered"),
        pytest.param({"rq_total": 30, "rq_completed": 20, "rq_active": 10}, id="still under way"),
        pytest.param({"rq_total": 30, "rq_completed": 30, "rq_active": 30}, id="answers that are still being sent"),
        pytest.param({"rq_total": 31, "rq_completed": 30, "rq_retry": 1}, id="tried once more on another connection"),
        pytest.param(
            {"rq_total": 30, "rq_completed": 30, "rq_pending_failure_eject": 9, "rq_retry": 9},
            id="tried once more as a pod refused",
        ),
        pytest.param(
            {"rq_completed": 3, "rq_pending_failure_eject": 9, "rq_retry": 6}, id="given up by the router: all refused"
        ),
        pytest.param({"rq_completed": 3, "cx_none_healthy": 3}, id="answered by the router: no pod"),
        pytest.param({"rq_completed": 3, "rq_pending_overflow": 3}, id="answered by the router: too many"),
        pytest.param({"rq_completed": 3, "rq_cancelled": 3}, id="timed out before there was a connection"),
    ],
)
def test_nothing_else_is_taken_for_a_request_that_was_given_up(counted: Mapping[str, int]) -> None:
    found = gained(shown(), shown(**counted), shown(**counted))

    assert [each.abandoned for each in found] == [0, 0]


def test_a_client_that_leaves_before_there_is_a_connection_has_given_up() -> None:
    found = gained(shown(), shown(rq_cancelled=5), shown(rq_cancelled=5))

    assert [each.abandoned for each in found] == [0, 5]


def test_those_that_a_router_answered_itself_hide_none_that_clients_gave_up() -> None:
    outage = {"rq_completed": 1000, "cx_none_healthy": 1000}
    found = gained(shown(**outage), shown(**outage, rq_total=7), shown(**outage, rq_total=7))

    assert [each.abandoned for each in found] == [0, 7]


def test_parts_that_are_read_one_after_the_other_make_no_failures() -> None:
    jitter = [0, 3, -2, 0, 4, 0, -1, 5, 0]
    found = gained(*(shown(rq_total=100 * n + off, rq_completed=100 * n) for n, off in enumerate(jitter)))

    assert [each.abandoned for each in found] == [0] * (len(jitter) - 1)


def test_what_comes_while_a_busy_router_is_read_makes_no_failures_and_hides_no_more() -> None:
    each = 1000 * EACH
    healthy = [shown(rq_total=each * n + off, rq_completed=each * n) for n, off in enumerate((0, 40, 50, 30, 50))]
    hanging = [shown(rq_total=each * n, rq_completed=0) for n in range(4)]

    assert sum(each.abandoned for each in gained(*healthy)) == 0
    assert sum(each.abandoned for each in gained(*hanging)) == 2 * each - 50


def test_streams_that_begin_and_end_make_no_failures() -> None:
    streams = [0, 40, 5, 60, 60, 0, 0]
    scrapes = [shown(rq_total=100 * n, rq_completed=100 * n, rq_active=s) for n, s in enumerate(streams)]
    found = gained(*scrapes)

    assert sum(each.abandoned for each in found) == 0


def test_what_was_given_up_before_is_not_given_up_again_when_streams_end() -> None:
    scrapes = [shown(rq_total=9, rq_active=s) for s in (0, 0, 9, 2, 0, 0)]

    assert sum(each.abandoned for each in gained(*scrapes)) == 0


def test_a_router_that_restarts_counts_from_nothing() -> None:
    before, after = shown(rq_total=300, rq_completed=200), shown(rq_total=30, rq_completed=22)
    found = gained(before, before, after, after, uptime=10.0)

    assert found == [Counts(), Counts(22 + 8, 8, abandoned=8), Counts()]


def test_two_jobs_that_read_a_router_at_different_times_do_not_differ() -> None:
    scrapes = [shown(rq_total=100 * n + off, rq_completed=100 * n) for n, off in enumerate((0, 4, 4, 1, 0))]
    found = readings(*scrapes, jobs=2)

    assert found.doubt is None
    assert found.samples[-1][SeriesKey(Process(pod="r"), "a", ABANDONED)].value == 4


def test_where_one_of_the_parts_is_not_scraped_nothing_is_counted() -> None:
    for lacking in set(NOTHING) - {"rq_completed"}:
        scrapes = [shown(), shown(rq_total=30, rq_completed=20), shown(rq_total=30, rq_completed=20)]
        found = gained(*({name: each[name] for name in each if name != lacking} for each in scrapes))

        assert found == [Counts(20), Counts()]
