"""Raw samples become what counters showed at points of time: restarts are shown, processes are known by any labels."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.metrics.falls import Scraped
from tidegate.metrics.increments import Process
from tidegate.metrics.observers.envoy import RouterCounters
from tidegate.metrics.processes import processes_of
from tidegate.metrics.provider import Readings
from tidegate.metrics.raw_series import read

AT = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
Points = Mapping[int, float]
"""Values by the second before AT."""


class Store:
    """One router's counters, and when it says that it began."""

    def __init__(self, requests: Points, failed: Points, uptime: Points) -> None:
        self._series = {"completed": requests, "xx": failed}
        self._uptime = uptime

    def raw(self, promql: str, since: datetime, until: datetime) -> Sequence[Scraped]:
        found = [_scraped(f"envoy_cluster_upstream_rq_{name}", points) for name, points in self._series.items()]
        has_uptime = self._uptime and "envoy_server_uptime" in promql
        return [*found, *([_scraped("envoy_server_uptime", self._uptime)] if has_uptime else [])]


def _scraped(name: str, points: Points) -> Scraped:
    labels = {"__name__": name, "envoy_cluster_name": "shop/digits/a", "envoy_response_code_class": "5", "pod": "r"}
    return Scraped(labels, [(AT.timestamp() - before, value) for before, value in points.items()])


def readings(requests: Points, failed: Points, uptime: Points) -> Readings:
    return read(Store(requests, failed, uptime), RouterCounters("shop", "digits", ("a",)), AT, SECOND, 1)


@pytest.mark.parametrize(
    ("failed", "uptime", "reason"),
    [
        pytest.param({45: 9, 30: 1, 15: 2}, {45: 500, 30: 10, 15: 25}, None, id="it says that it began since"),
        pytest.param({45: 9, 30: 1, 15: 2}, {45: 500, 30: 515, 15: 530}, "CountersWentBack", id="it says it didn't"),
        pytest.param({45: 9, 30: 1, 15: 2}, {}, None, id="it says nothing, and all fell"),
        pytest.param({45: 9, 30: 9, 15: 9}, {}, "CountersWentBack", id="it says nothing, and not all fell"),
        pytest.param({45: 9, 30: 1, 15: 0}, {}, "CountersWentBack", id="it says nothing, and fell again"),
    ],
)
def test_a_fall_is_a_restart_only_where_one_is_shown(failed: Points, uptime: Points, reason: str | None) -> None:
    found = readings({45: 1000, 30: 100, 15: 250}, failed, uptime)

    assert (found.doubt.reason if found.doubt else None) == reason
    shown = [counted.restarted for key, counted in found.samples[0].items() if key.measure == "requests"]
    assert shown == ([] if reason else [AT.timestamp() - 30])


ALIVE = {75: 500, 60: 515, 45: 530, 30: 545, 15: 560}


@pytest.mark.parametrize(
    ("failed", "uptime", "is_believed"),
    [
        pytest.param({75: 9, 30: 1, 15: 2}, ALIVE, True, id="its router was read in between"),
        pytest.param({75: 9, 30: 9, 15: 9}, ALIVE, True, id="one counter is where it was"),
        pytest.param({75: 9, 60: 9, 45: 9, 30: 1, 15: 2}, ALIVE, False, id="one counter was there all the time"),
        pytest.param({75: 9, 30: 1, 15: 2}, {75: 500, 30: 545, 15: 560}, False, id="nobody read its router in between"),
        pytest.param(
            {75: 9, 30: 1, 15: 2}, {**ALIVE, 60: 90, 45: 105}, False, id="another process was read in between"
        ),
        pytest.param({75: 9, 30: 1, 15: 2}, {79: 496, 52: 523, 26: 549}, True, id="it was read by a replica"),
    ],
)
def test_a_revision_that_went_and_came_back_counts_from_nothing(
    failed: Points, uptime: Points, is_believed: bool
) -> None:
    found = readings({75: 1000, 30: 100, 15: 250}, failed, uptime)

    assert (found.doubt.reason if found.doubt else None) == (None if is_believed else "CountersWentBack")
    shown = [counted.restarted for key, counted in found.samples[0].items() if key.measure == "requests"]
    assert shown == ([AT.timestamp() - 30] if is_believed else [])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param(Process("n", "r", "10.0.0.1:1"), Process("n", "r", "10.0.0.1:2"), True, id="two ports of a pod"),
        pytest.param(Process("n", "r", "10.0.0.1:1"), Process("", "r", "x"), True, id="a job without the namespace"),
        pytest.param(Process("n", "r", "10.0.0.1:1"), Process("", "", "10.0.0.1:1"), True, id="a job without the pod"),
        pytest.param(Process("n", "r", "10.0.0.1:1"), Process("n", "s", "10.0.0.1:1"), False, id="an address again"),
        pytest.param(Process("n", "r", "10.0.0.1:1"), Process("m", "r", "10.0.0.1:1"), False, id="two namespaces"),
    ],
)
def test_a_process_is_one_whatever_its_jobs_tell_of_it(one: Process, other: Process, same: bool) -> None:
    found = processes_of([one, other])

    assert (found[one] == found[other]) is same
