"""Counters are differenced series by series, and nothing is counted that nobody can date."""

import math

import pytest

from tidegate.metrics.increments import (
    Counted,
    Process,
    Sample,
    SeriesKey,
    counter_increases,
    counts_by_pod,
    counts_of,
    durations_of,
    never_back,
    traffic_of_a_pod,
)
from tidegate.model.evidence import NO_DURATIONS, Counts, Durations, PodTraffic, Predictions

REQUESTS = SeriesKey(Process(instance="router-1"), "digits-b", "requests")
FAILED = SeriesKey(Process(instance="router-1"), "digits-b", "failed")
ELSEWHERE = SeriesKey(Process(instance="router-2"), "digits-b", "requests")


BEFORE, AFTER = 100.0, 115.0
Values = dict[SeriesKey, float]


def counted(values: Values, at: float, restarted: float | None = None) -> Sample:
    return {key: Counted(value, at, restarted) for key, value in values.items()}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param({REQUESTS: 10.0}, {REQUESTS: 17.0}, {REQUESTS: 7}, id="a counter that grew: the difference"),
        pytest.param({REQUESTS: 10.0}, {REQUESTS: 10.0}, {REQUESTS: 0}, id="a counter that stood: nothing"),
        pytest.param({REQUESTS: 10.0}, {REQUESTS: 4.0}, {REQUESTS: 0}, id="a counter that fell for no reason: nothing"),
        pytest.param(
            {REQUESTS: 10.0},
            {REQUESTS: 12.0, FAILED: 2.0},
            {REQUESTS: 2, FAILED: 2},
            id="a series born at a known owner: all it shows",
        ),
        pytest.param(
            {REQUESTS: 10.0},
            {REQUESTS: 10.0, ELSEWHERE: 900.0},
            {REQUESTS: 0, ELSEWHERE: 0},
            id="a series of an owner never seen before: nothing",
        ),
        pytest.param(
            {REQUESTS: 10.0, ELSEWHERE: 5.0}, {ELSEWHERE: 6.0}, {ELSEWHERE: 1}, id="a series that went: nothing"
        ),
        pytest.param({}, {REQUESTS: 10.0}, {REQUESTS: 0}, id="the very first sample: nothing"),
        pytest.param({REQUESTS: 10.2}, {REQUESTS: 12.1}, {REQUESTS: 2}, id="fractions are rounded"),
    ],
)
def test_an_increment_of(before: Values, after: Values, expected: dict[SeriesKey, int]) -> None:
    assert counter_increases(counted(before, BEFORE), counted(after, AFTER)) == expected


@pytest.mark.parametrize(
    ("restarted", "gained"),
    [
        pytest.param(AFTER, 4, id="since: all it shows"),
        pytest.param(BEFORE, 0, id="not since: nothing"),
    ],
)
def test_a_counter_that_fell_as_its_process_restarted(restarted: float, gained: int) -> None:
    before, after = counted({REQUESTS: 10.0}, BEFORE), counted({REQUESTS: 4.0}, AFTER, restarted)

    assert counter_increases(before, after) == {REQUESTS: gained}


def test_what_was_counted_no_later_than_before_is_no_news() -> None:
    before, older = counted({REQUESTS: 10.0}, AFTER), counted({REQUESTS: 8.0}, BEFORE)

    assert counter_increases(before, older) == {REQUESTS: 0}
    assert never_back(before, older) == before


def test_a_request_less_a_moment_later_is_another_reader_and_not_a_restart() -> None:
    before, after = counted({REQUESTS: 10.0}, BEFORE), counted({REQUESTS: 9.0}, BEFORE + 0.01)

    assert never_back(before, after) == counted({REQUESTS: 10.0}, BEFORE + 0.01)


def test_what_began_before_an_instant_is_no_part_of_what_came_since() -> None:
    before = {**counted({REQUESTS: 10.0}, BEFORE), **counted({ELSEWHERE: 5.0}, BEFORE + 5)}
    after = counted({REQUESTS: 17.0, FAILED: 3.0, ELSEWHERE: 6.0}, AFTER)

    assert counter_increases(before, after, BEFORE + 1) == {REQUESTS: 0, FAILED: 0, ELSEWHERE: 1}


def test_an_arm_sums_over_the_processes_that_counted_it() -> None:
    gained = {
        REQUESTS: 10,
        FAILED: 2,
        ELSEWHERE: 5,
        SeriesKey(Process(instance="router-1"), "digits-b", "turned away"): 1,
        SeriesKey(Process(instance="pod"), "digits-b", "duration", "0.5"): 12,
        SeriesKey(Process(instance="other-pod"), "digits-b", "duration", "0.5"): 1,
        SeriesKey(Process(instance="pod"), "digits-b", "duration", "+Inf"): 15,
        SeriesKey(Process(instance="pod"), "digits-b", "failed in pod", "500"): 4,
        SeriesKey(Process(instance="pod"), "digits-b", "class", "cat"): 9,
        SeriesKey(Process(instance="pod"), "digits-b", "class", "dog"): 3,
        SeriesKey(Process(instance="pod"), "digits-b", "score", "0.5"): 2,
        SeriesKey(Process(instance="pod"), "digits-b", "score", "+Inf"): 12,
        SeriesKey(Process(instance="router-1"), "digits-a", "requests"): 1000,
    }

    predictions = Predictions({"cat": 9, "dog": 3}, Durations((0.5, math.inf), (2, 12)))
    assert counts_of("digits-b", gained) == Counts(15, 3, Durations((0.5, math.inf), (13, 15)), predictions)
    assert counts_of("digits-c", gained) == Counts()


def test_each_pod_counts_for_itself_and_one_without_a_request_does_not() -> None:
    gained = {
        SeriesKey(Process("shop", "digits-b-x", "10.0.0.1:8082"), "digits-b", "duration", "0.5"): 3,
        SeriesKey(Process("shop", "digits-b-x", "10.0.0.1:8082"), "digits-b", "duration", "+Inf"): 5,
        SeriesKey(Process("shop", "digits-b-x", "10.0.0.1:8082"), "digits-b", "failed in pod", "500"): 1,
        SeriesKey(Process("shop", "digits-b-x", "10.0.0.1:8082"), "digits-b", "failed in pod", "429"): 1,
        SeriesKey(Process("shop", "", "10.0.0.2:8082"), "digits-b", "duration", "+Inf"): 2,
        SeriesKey(Process("shop", "digits-b-z", "10.0.0.3:8082"), "digits-b", "duration", "+Inf"): 0,
        SeriesKey(Process("shop", "digits-a-x", "10.0.0.4:8082"), "digits-a", "duration", "+Inf"): 9,
    }

    assert counts_by_pod("digits-b", gained) == {
        "digits-b-x": Counts(5, 2, Durations((0.5, math.inf), (3, 5))),
        "10.0.0.2:8082": Counts(2, 0, Durations((math.inf,), (2,))),
    }


def test_no_more_requests_fail_than_there_were() -> None:
    assert counts_of("digits-b", {REQUESTS: 3, FAILED: 5}) == Counts(3, 3)


def test_a_histogram_is_in_ascending_order_and_never_falls() -> None:
    assert durations_of({"+Inf": 9, "0.1": 4, "0.02": 5, "1e-3": 0}) == Durations(
        (0.001, 0.02, 0.1, math.inf), (0, 5, 5, 9)
    )
    assert durations_of({}) == NO_DURATIONS


def test_histograms_add_bucket_by_bucket_and_only_if_they_have_the_same() -> None:
    one = Durations((0.1, math.inf), (3, 4))

    assert one + one == Durations((0.1, math.inf), (6, 8))
    assert one + NO_DURATIONS == NO_DURATIONS + one == one
    with pytest.raises(ValueError, match="different buckets"):
        one + Durations((0.2, math.inf), (3, 4))


def test_a_processes_labels_may_hold_any_text() -> None:
    labels = {"job": "monitoring/tidegate", "namespace": "shop", "instance": "10.0.0.1:8082", "pod": "digits/b-1"}

    assert Process.of(labels) == Process("shop", "digits/b-1", "10.0.0.1:8082")
    assert Process.of(labels).name == "digits/b-1"
    assert Process.of({"instance": "10.0.0.1:8082"}).name == "10.0.0.1:8082"


def answered_by(pod: str, at: float, requests: float, revision: str = "digits-b") -> Sample:
    owner = Process(pod=pod)
    return {
        SeriesKey(owner, revision, "duration", "0.1"): Counted(requests / 2, at),
        SeriesKey(owner, revision, "duration", "+Inf"): Counted(requests, at),
    }


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        pytest.param(
            {**answered_by("1", 110, 100), **answered_by("2", 114, 150)},
            PodTraffic(12.0, 100.0),
            id="each in the time between its own scrapes",
        ),
        pytest.param(
            {**answered_by("1", 110, 100), **answered_by("2", 100, 50)},
            PodTraffic(10.0, 100.0),
            id="one that wasn't counted anew is left out",
        ),
        pytest.param(
            {**answered_by("1", 110, 100), **answered_by("2", 110, 3), **answered_by("3", 110, 900)},
            PodTraffic(10.0, 100.0),
            id="one that restarted, and one that is new, are left out",
        ),
        pytest.param(answered_by("1", 110, 100, revision="digits-a"), None, id="nobody knows"),
    ],
)
def test_what_a_pod_answered_on_average(after: Sample, expected: PodTraffic | None) -> None:
    before = {**answered_by("1", 100, 0), **answered_by("2", 100, 50)}

    assert traffic_of_a_pod("digits-b", before, after) == expected
