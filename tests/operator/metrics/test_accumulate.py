"""The fold: samples at the points of a segment go in, increments come out."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.judge.sampling import Segment
from tidegate.metrics.accumulate import (
    Comparison,
    DetailsFold,
    Reading,
    TrafficFold,
    accumulate_details,
    accumulate_traffic,
    share_between,
    share_of,
)
from tidegate.metrics.increments import (
    CLASS,
    DURATION,
    FAILED,
    FAILED_IN_POD,
    REQUESTS,
    Counted,
    Process,
    Sample,
    SeriesKey,
)
from tidegate.model.evidence import NO_DURATIONS, Counts, Durations, Increment, Load, PodTraffic, Predictions
from tidegate.model.traffic import Arms, Share

START = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(seconds=5)
NOTHING = TrafficFold()
Values = Mapping[SeriesKey, float]
ROUTER = Process(instance="router")
STABLE_REQUESTS, CANDIDATE_REQUESTS = (
    SeriesKey(ROUTER, "a", REQUESTS),
    SeriesKey(ROUTER, "b", REQUESTS),
)
CANDIDATE_FAILED = SeriesKey(ROUTER, "b", FAILED)
NO_DETAILS: Values = {}


def at(point: int) -> datetime:
    return START + point * STEP


def segment(*, start: int = 0, points: int = 9, delay: int = 1, weight: int = 0) -> Segment:
    return Segment(at(start), STEP, points, delay, weight)


def comparison(*, began: int = 0, reference: Durations = NO_DURATIONS) -> Comparison:
    return Comparison(Arms("shop", "digits", "a", "b"), at(began), reference)


def routers(stable: float, candidate: float, failed: float | None = None, **others: float) -> dict[SeriesKey, float]:
    """All that one router counts."""
    sample = {STABLE_REQUESTS: stable, CANDIDATE_REQUESTS: candidate}
    if failed is not None:
        sample[CANDIDATE_FAILED] = failed
    return sample | {SeriesKey(ROUTER, name.replace("_", "/"), REQUESTS): value for name, value in others.items()}


def pod(revision: str, number: int, fast: float, requests: float, bound: str = "0.5") -> dict[SeriesKey, float]:
    """What one model server counts of latency."""
    owner = Process("shop", f"{revision}-{number}", f"10.0.0.{number}:8082")
    return {
        SeriesKey(owner, revision, DURATION, bound): fast,
        SeriesKey(owner, revision, DURATION, "+Inf"): requests,
    }


def counted(values: Values, point: datetime, before: Values | None = None) -> Sample:
    """All read at the very point. What is lower than `before` belongs to a process that was shown to have restarted."""
    instant, before = point.timestamp(), before or {}
    return {
        key: Counted(value, instant, instant if value < before.get(key, 0.0) else None) for key, value in values.items()
    }


def samples(each: Sequence[Values], over: Segment, first: int = 0) -> list[Sample]:
    """Counters at a segment's points."""
    instants = [over.instant(first + index) for index in range(len(each))]
    return [counted(*point) for point in zip(each, instants, [NO_DETAILS, *each[:-1]], strict=True)]


def took(fast: int, requests: int) -> Durations:
    return Durations((0.5, math.inf), (fast, requests))


def folded(
    traffic: Sequence[Values],
    *,
    over: Segment | None = None,
    of: Comparison | None = None,
    state: TrafficFold = NOTHING,
    first: int = 0,
) -> tuple[TrafficFold, tuple[Increment, ...]]:
    over = over or segment()
    return accumulate_traffic(state, of or comparison(), over, first, samples(traffic, over, first))


def detailed(
    details: Sequence[Values], *, over: Segment | None = None, of: Comparison | None = None
) -> tuple[Increment, ...]:
    """Of blocks that begin with the segment."""
    over = over or segment()
    return accumulate_details(DetailsFold(), of or comparison(), over, 0, samples(details, over.blocks))[1]


def requests_of(increments: Sequence[Increment]) -> list[tuple[int, int, int]]:
    """Per increment: requests of stable, of the candidate, and how many of the candidate's failed."""
    return [(each.stable.requests, each.candidate.requests, each.candidate.failed) for each in increments]


@pytest.mark.parametrize(
    ("traffic", "expected"),
    [
        pytest.param([routers(100, 10)], [], id="one point: nothing is known of before"),
        pytest.param(
            [routers(100, 10), routers(190, 20), routers(280, 31)], [(90, 10, 0), (90, 11, 0)], id="counters that grow"
        ),
        pytest.param(
            [routers(100, 10), routers(190, 20, failed=3)], [(90, 10, 3)], id="a series that is born with a failure"
        ),
        pytest.param([{STABLE_REQUESTS: 100.0}, routers(190, 4)], [(90, 4, 0)], id="a candidate's series that is born"),
        pytest.param([routers(100, 10), routers(7, 2)], [(7, 2, 0)], id="a router that restarts"),
        pytest.param(
            [routers(100, 10), {}, routers(280, 31)], [(180, 21, 0)], id="a point that is missing: made up for later"
        ),
        pytest.param(
            [routers(100, 10, c=5), {SeriesKey(ROUTER, "c", REQUESTS): 9.0}, routers(190, 20)],
            [(90, 10, 0)],
            id="a point with other revisions only is a missing one",
        ),
        pytest.param(
            [routers(100, 10, b_preview=5), routers(190, 20, b_preview=50)],
            [(90, 10, 0)],
            id="preview traffic isn't judged",
        ),
    ],
)
def test_traffic_becomes_an_increment_per_point(
    traffic: Sequence[Values], expected: Sequence[tuple[int, int, int]]
) -> None:
    _, increments = folded(traffic)
    assert requests_of(increments) == expected


def test_an_increment_says_until_when_it_is() -> None:
    _, increments = folded([routers(100, 10), routers(190, 20)])
    assert increments == (Increment(at(1), Counts(90), Counts(10), {}),)


def test_an_increment_with_latency_says_what_share_of_the_requests_a_pod_gets() -> None:
    details = [{**pod("a", 1, n, n), **pod("a", 2, n, n), **pod("a", 3, n, n), **pod("b", 4, 0, 0)} for n in range(3)]
    increments = detailed(details, over=segment(weight=25))

    assert [each.load for each in increments] == [None, Load(0.25, 0.25)]


def test_point_by_point_is_the_same_as_all_together() -> None:
    traffic = [routers(100, 10), {}, routers(190, 20, failed=1), routers(280, 31, failed=1)]
    details = [pod("b", 1, count, 2 * count) for count in (0, 1, 5, 9)]
    state, detail_state = NOTHING, DetailsFold()
    increments: list[Increment] = []
    more_detailed: list[Increment] = []
    for index, (one, other) in enumerate(zip(traffic, details, strict=True)):
        state, more = folded([one], state=state, first=index)
        increments += more
        detail_state, more = accumulate_details(
            detail_state, comparison(), segment(), index, samples([other], segment(), index)
        )
        more_detailed += more

    assert (state, tuple(increments)) == folded(traffic)
    assert (detail_state, tuple(more_detailed)) == accumulate_details(
        DetailsFold(), comparison(), segment(), 0, samples(details, segment())
    )


def test_a_missing_point_is_a_gap_until_the_next_one_that_is_there() -> None:
    state, _ = folded([routers(100, 10), {}])
    assert state.has_gap

    state, _ = folded([routers(190, 20)], state=state, first=2)
    assert not state.has_gap


def test_a_new_candidate_is_judged_from_its_first_request_on() -> None:
    _, increments = folded([routers(100, 0), routers(190, 10, failed=10)], over=segment(delay=3))
    assert requests_of(increments) == [(90, 10, 10)]


def test_after_a_later_shift_nothing_is_judged_until_the_split_has_settled() -> None:
    counters = [routers(100 * count, 10 * count) for count in range(1, 9)]
    state, _ = folded(counters[:2])
    state, increments = folded(counters[2:], over=segment(start=2, delay=2), state=state)

    assert [increment.until for increment in increments] == [at(5), at(6), at(7)]
    assert state.exposed == Counts(70)


def test_what_the_candidate_has_answered_is_exposed_also_where_nothing_is_judged() -> None:
    state, increments = folded(
        [routers(100, 10), routers(190, 20, failed=4)], of=comparison(began=-9), over=segment(delay=3)
    )
    assert (state.exposed, increments) == (Counts(10, 4), ())


DELAYED = segment(delay=2)


def test_details_are_read_once_in_a_propagation_delay_and_from_when_the_split_has_settled() -> None:
    details = [{**pod("a", 1, 20 * count, 20 * count), **pod("b", 2, 2 * count, 4 * count)} for count in range(4)]
    increments = detailed(details, over=DELAYED)

    assert [(each.until, each.candidate.durations) for each in increments] == [
        (at(1), NO_DURATIONS),
        (at(2), NO_DURATIONS),
        (at(3), NO_DURATIONS),
        (at(4), took(2, 4)),
        (at(5), NO_DURATIONS),
        (at(6), took(2, 4)),
    ]
    assert increments[3] == Increment(
        at(4),
        Counts(durations=took(20, 20)),
        Counts(durations=took(2, 4)),
        {"b-2": Counts(4, 0, took(2, 4))},
        pod_traffic=PodTraffic(10.0, 4.0),
    )


def test_details_of_before_a_split_has_settled_are_no_part_of_what_comes_after() -> None:
    details = [{**pod("a", 1, count, count), **pod("b", 2, count, count)} for count in range(4)]
    increments = detailed(details, over=DELAYED, of=comparison(began=-9))

    assert [(each.until, each.candidate.durations) for each in increments] == [
        (at(3), NO_DURATIONS),
        (at(4), took(1, 1)),
        (at(5), NO_DURATIONS),
        (at(6), took(1, 1)),
    ]


def test_each_pod_of_the_candidate_is_counted_by_itself() -> None:
    def details(count: int) -> Values:
        failed = SeriesKey(Process("shop", "b-2", "10.0.0.2:8082"), "b", FAILED_IN_POD, "500")
        return {**pod("b", 1, count, 2 * count), **pod("b", 2, count, count), failed: count}

    increments = detailed([details(count) for count in (0, 3, 7)])

    assert [dict(increment.pods) for increment in increments] == [
        {},
        {"b-1": Counts(8, 0, took(4, 8)), "b-2": Counts(4, 4, took(4, 4))},
    ]


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        pytest.param(
            [{}, pod("b", 1, 0, 9), pod("b", 1, 1, 19), pod("b", 1, 11, 29), pod("b", 1, 21, 39)],
            [0, 10, 10, 10],
            id="a server that was there when the split settled",
        ),
        pytest.param(
            [{}, pod("b", 9, 5, 5), {**pod("b", 9, 5, 5), **pod("b", 1, 0, 9)}]
            + [{**pod("b", 9, 5, 5), **pod("b", 1, 10 * n, 9 + 10 * n)} for n in (1, 2)],
            [0, 0, 0, 10],
            id="a new server: its first block is warm-up",
        ),
        pytest.param(
            [{}, pod("b", 1, 0, 90), pod("b", 1, 0, 9), pod("b", 1, 10, 19), pod("b", 1, 20, 29)],
            [0, 0, 0, 10],
            id="a server that restarts: as a new one",
        ),
        pytest.param(
            [{}, pod("b", 1, 0, 9), {}, pod("b", 1, 10, 19), pod("b", 1, 20, 29)],
            [0, 0, 0, 0],
            id="a server that wasn't scraped once: as a new one",
        ),
    ],
)
def test_the_first_requests_of_a_server_do_not_count_for_latency(
    details: Sequence[Values], expected: Sequence[int]
) -> None:
    increments = detailed(details)
    assert [increment.candidate.durations.total for increment in increments] == expected


def test_what_a_server_predicts_counts_also_while_it_warms_up() -> None:
    cats = SeriesKey(Process("shop", "b-1", "10.0.0.1:8082"), "b", CLASS, "cat")
    details = [{}, {**pod("b", 1, 0, 90), cats: 90.0}, {**pod("b", 1, 0, 9), cats: 9.0}]
    increments = detailed(details)

    assert increments[-1].candidate == Counts(0, 0, took(0, 0), Predictions({"cat": 9}))


@pytest.mark.parametrize(
    ("reference", "stable", "candidate"),
    [
        pytest.param(NO_DURATIONS, "0.5", "0.25", id="between the arms"),
        pytest.param(Durations((1.0, math.inf), (5, 5)), "0.5", "0.5", id="between today and the reference"),
    ],
)
def test_latency_in_other_buckets_does_not_count_and_all_else_does(
    reference: Durations, stable: str, candidate: str
) -> None:
    cats = SeriesKey(Process("shop", "b-2", "10.0.0.2:8082"), "b", CLASS, "cat")
    details = [
        {**pod("a", 1, count, count, stable), **pod("b", 2, count, count, candidate), cats: count} for count in range(3)
    ]
    state, increments = accumulate_details(
        DetailsFold(), comparison(reference=reference), segment(), 0, samples(details, segment())
    )

    assert state.histograms_differ
    assert increments[-1] == Increment(at(2), Counts(), Counts(predictions=Predictions({"cat": 1})))


def test_a_share_is_of_the_latest_points_that_are_a_span_apart() -> None:
    state, _ = folded([routers(100 * count, 10 * count, b_preview=count) for count in range(1, 8)], over=DELAYED)

    assert len(state.recent) == 4
    assert share_of(state.recent, 2 * STEP) == Share(at(4), at(6), {"a": 200, "b": 20}, {"b": 2})
    assert share_of(state.recent, 4 * STEP) is None
    assert share_of((), STEP) is None


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(
            routers(100, 10, c=5, b_preview=1),
            routers(190, 20, c=5, b_preview=4),
            Share(at(0), at(1), {"a": 90, "b": 10, "c": 0}, {"b": 3}),
            id="every revision, live and preview apart",
        ),
        pytest.param(
            routers(100, 10, failed=1),
            routers(190, 20, failed=9),
            Share(at(0), at(1), {"a": 90, "b": 10}, {}),
            id="a failure isn't counted twice",
        ),
        pytest.param({}, routers(190, 20), None, id="no counters at the beginning"),
        pytest.param(routers(100, 10), {}, None, id="no counters at the end"),
    ],
)
def test_a_share_between_two_readings(before: Values, after: Values, expected: Share | None) -> None:
    assert (
        share_between(Reading(at(0), counted(before, at(0))), Reading(at(1), counted(after, at(1))), STEP) == expected
    )
