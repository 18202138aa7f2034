"""Two who read the same counters, by clocks of their own: each request counts once, whoever told it."""

import pytest

from tidegate.metrics.falls import CLOCKS
from tidegate.metrics.increments import REQUESTS, Counted, Process, Sample, SeriesKey, counter_increases, never_back
from tidegate.metrics.merging import later_than, named_as_here

ROUTER = Process("tidegate", "router-a")
KNOWN_AS = {"router-a": ROUTER, "10.0.0.7": ROUTER}


def sample(value: float, at: float, owner: Process = ROUTER, restarted: float | None = None) -> Sample:
    return {SeriesKey(owner, "b", REQUESTS): Counted(value, at, restarted)}


def gained(known: Sample, told: Sample) -> int:
    """What is new of what was told."""
    later = never_back(known, later_than(told, known))
    return sum(counter_increases(known, {**known, **later}).values())


@pytest.mark.parametrize(
    ("told", "new"),
    [
        pytest.param(sample(130, 110), 30, id="later, and more"),
        pytest.param(sample(90, 80), 0, id="older"),
        pytest.param(sample(90, 102), 0, id="older, by a clock that is ahead"),
        pytest.param(sample(100, 110), 0, id="nothing came"),
        pytest.param(sample(40, 110, restarted=109), 40, id="after a restart that Prometheus saw"),
        pytest.param(sample(4000, 101, restarted=None), 0, id="of the life before a restart, by a clock that is ahead"),
        pytest.param(sample(4000, 90, Process(instance="somewhere:9902")), 0, id="of somebody, from before"),
        pytest.param(sample(4000, 120, Process(instance="somewhere:9902")), 0, id="of somebody, who begins to count"),
    ],
)
def test_only_what_is_above_what_was_counted_is_new(told: Sample, new: int) -> None:
    assert gained(sample(100, 100), told) == new


@pytest.mark.parametrize(
    "owner",
    [
        ROUTER,
        Process("", "router-a", "10.0.0.7:9902"),
        Process(instance="10.0.0.7:9902"),
    ],
)
def test_a_router_is_known_by_its_pod_or_its_address(owner: Process) -> None:
    assert named_as_here(sample(7, 100, owner), KNOWN_AS) == sample(7, 100)


def test_a_stranger_keeps_its_name() -> None:
    stranger = sample(7, 100, Process(instance="10.0.0.9:9902"))

    assert named_as_here(stranger, KNOWN_AS) == stranger


def test_a_router_that_has_never_answered_begins_with_what_prometheus_has_of_it() -> None:
    other = Process("tidegate", "router-b")
    told, known = sample(4000, 90, other), sample(100, 100)

    assert later_than(told, known) == {}
    assert later_than(told, known, [ROUTER, other]) == sample(4000, 90 - CLOCKS, other)


def test_a_stranger_begins_after_all_that_was_counted() -> None:
    stranger = Process(instance="10.0.0.9:9902")

    assert later_than(sample(7, 100 + CLOCKS, stranger), sample(1, 100)) == {}
    assert later_than(sample(7, 101 + CLOCKS, stranger), sample(1, 100)) == sample(7, 101, stranger)
