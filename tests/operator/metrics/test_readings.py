"""The fold of readings: routers that are asked directly, at any time, go in; increments with their lengths come out."""

from datetime import UTC, datetime, timedelta

import pytest

from tidegate.judge.sampling import Segment
from tidegate.metrics.accumulate import (
    READINGS_OF_A_SHARE,
    Comparison,
    Reading,
    ReadyPods,
    TrafficFold,
    accumulate_readings,
    share_of,
)
from tidegate.metrics.increments import DURATION, FAILED, REQUESTS, Counted, Process, SeriesKey
from tidegate.model.evidence import NO_DURATIONS, Counts, Durations, Increment, Load
from tidegate.model.traffic import Arms, Share

START = datetime(2026, 1, 1, tzinfo=UTC)
SPAN = timedelta(seconds=5)
GRID = (
    Segment(START, timedelta(seconds=1), 11, 1, 10),
    Segment(START + timedelta(seconds=10), timedelta(seconds=1), 11, 1, 50),
)
COMPARISON = Comparison(Arms("shop", "digits", "a", "b"), START, NO_DURATIONS)
PODS = ReadyPods(9, ("b-1",))
NAMED = {"b-1": Counts()}


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def reading(
    seconds: float, stable: int, candidate: int, failed: int = 0, *, asked: dict[str, float] | None = None
) -> Reading:
    """What routers had counted by then, each half of it; `asked` says when one was asked, where not just then."""
    sample = {}
    for router in ("r1", "r2"):
        when = at((asked or {}).get(router, seconds)).timestamp()
        owner = Process(pod=router)
        for key, value in (
            (SeriesKey(owner, "a", REQUESTS), stable),
            (SeriesKey(owner, "b", REQUESTS), candidate),
            (SeriesKey(owner, "b", FAILED), failed),
        ):
            sample[key] = Counted(value / 2, when)
    return Reading(at(seconds), sample)


def with_latency(told: Reading, bounds: tuple[str, ...], fast: int, all_of_them: int) -> Reading:
    owner = Process(pod="r1")
    buckets = {
        SeriesKey(owner, "b", DURATION, bound): Counted(fast if bound != "+Inf" else all_of_them, told.at.timestamp())
        for bound in (*bounds, "+Inf")
    }
    return told._replace(sample={**told.sample, **buckets})


def folded(*readings: Reading) -> tuple[Increment, ...]:
    return accumulate_readings(TrafficFold(), COMPARISON, GRID, readings, span=SPAN, pods=PODS)[1]


def test_an_increment_is_as_long_as_the_time_between_two_readings() -> None:
    increments = folded(reading(-0.5, 50, 0), reading(0.7, 150, 10, 2), reading(1.0, 180, 12, 2))

    load = Load(0.1, 0.1)
    assert increments == (
        Increment(at(0.7), Counts(100), Counts(10, 2), NAMED, load=load, since=at(-0.5)),
        Increment(at(1.0), Counts(30), Counts(2), NAMED, load=load, since=at(0.7)),
    )


def test_what_a_new_candidate_answered_first_is_judged_where_stable_was_just_counted() -> None:
    (increment,) = folded(reading(-1.5, 0, 0), reading(0.5, 200, 6, 6))

    assert increment.candidate == Counts(6, 6)
    assert folded(reading(-20, 0, 0), reading(0.5, 2000, 6, 6)) == ()


def test_what_is_counted_until_a_later_shift_has_settled_is_of_two_splits_and_not_judged() -> None:
    each_second = [reading(9.5 + second, 100 * second, 50 * second) for second in range(4)]

    assert [(each.since, each.until) for each in folded(*each_second)] == [(at(11.5), at(12.5))]


def test_a_router_that_was_asked_last_before_a_shift_had_settled_counts_from_its_next_answer_on() -> None:
    increments = folded(
        reading(9.5, 0, 0), reading(11.5, 200, 200, asked={"r2": 9.5}), reading(12.5, 300, 300), reading(13.5, 400, 400)
    )

    assert [each.stable for each in increments] == [Counts(50), Counts(100)]


def test_a_router_that_did_not_answer_for_a_second_is_counted_with_the_next() -> None:
    increments = folded(
        reading(3, 0, 0), reading(4, 90, 10), reading(5, 90, 10, asked={"r1": 4, "r2": 4}), reading(6, 270, 30)
    )

    assert [(each.stable, each.candidate) for each in increments] == [
        (Counts(90), Counts(10)),
        (Counts(), Counts()),
        (Counts(180), Counts(20)),
    ]


def test_a_candidates_first_requests_are_no_news_of_its_latency() -> None:
    bounds = ("0.1",)
    told = [with_latency(reading(second, 90 * second, 6 * second), bounds, second, 6 * second) for second in range(5)]

    assert [each.candidate.durations for each in folded(*told)] == [
        NO_DURATIONS,
        NO_DURATIONS,
        Durations((0.1, float("inf")), (1, 6)),
        Durations((0.1, float("inf")), (1, 6)),
    ]


def test_few_requests_take_longer_to_warm_up() -> None:
    told = [with_latency(reading(second, 90, 2 * second), ("0.1",), 0, 2 * second) for second in range(8)]

    assert [each.candidate.durations.total for each in folded(*told)] == [0, 0, 0, 0, 0, 2, 2]


def test_latency_in_other_buckets_is_left_out() -> None:
    told = [
        with_latency(reading(second, 90 * second, 10 * second), ("0.1",) if second < 4 else ("0.2",), 0, 10 * second)
        for second in range(6)
    ]

    assert [each.candidate.durations.total for each in folded(*told)] == [0, 0, 10, 0, 0]


@pytest.mark.parametrize("apart", [0.1, 1.0, 4.0])
def test_a_share_reaches_back_however_often_is_read_and_little_is_kept(apart: float) -> None:
    count = int(30 / apart)
    readings = [reading(apart * number, round(90 * apart * number), 0) for number in range(count + 1)]

    state, _ = accumulate_readings(TrafficFold(), COMPARISON, GRID, readings, span=SPAN, pods=PODS)

    share = share_of(state.recent, SPAN)
    assert isinstance(share, Share)
    assert timedelta(seconds=5) <= share.until - share.since <= timedelta(seconds=8)
    assert len(state.recent) <= READINGS_OF_A_SHARE + 3
