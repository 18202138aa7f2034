"""What is learned from stable's pods before a rollout."""

import random
from collections.abc import Callable

import pytest

from tidegate.judge.overdispersion import (
    LARGEST,
    Block,
    estimate_overdispersion,
    noisy_pod,
    overdispersion_at_one_time,
    overdispersion_over_time,
)
from tidegate.judge.pods import Tally
from tidegate.model.spec import Margin

MARGIN = Margin(1.25, 0.001)
Bad = Callable[[random.Random, str], int]


def blocks(bad: Bad, pods: str = "abc", count: int = 120, requests: int = 500) -> list[Block]:
    draw = random.Random(5)
    return [{pod: Tally(min(requests, bad(draw, pod)), requests) for pod in pods} for _ in range(count)]


def by_chance(draw: random.Random, pod: str) -> int:
    return sum(draw.random() < 0.01 for _ in range(500))


def in_fives(draw: random.Random, pod: str) -> int:
    return 5 * sum(draw.random() < 0.002 for _ in range(500))


def half_of_them(draw: random.Random, pod: str) -> int:
    return sum(draw.random() < 0.5 for _ in range(500))


@pytest.mark.parametrize(
    "pods", [pytest.param("abc", id="between three pods"), pytest.param("a", id="of a single pod")]
)
@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        pytest.param(by_chance, 1.0, id="by chance"),
        pytest.param(in_fives, 5.0, id="in clumps of five"),
        pytest.param(half_of_them, 1.0, id="half of all, by chance"),
    ],
)
def test_the_size_of_a_clump(bad: Bad, expected: float, pods: str) -> None:
    assert estimate_overdispersion(blocks(bad, pods)) == pytest.approx(expected, rel=0.25)


def second_by_second(pod_luck: float = 1.0, clump: int = 1, lasts: int = 1) -> list[Block]:
    """Half an hour of 100 requests a second on three pods, in blocks of 15 s; failures come in clumps that last."""
    draw = random.Random(5)
    failed = {pod: [0] * 1820 for pod in "abc"}
    for pod, luck in zip("abc", (pod_luck, 1.0, 1 / pod_luck), strict=True):
        for second in range(1800):
            if draw.random() < 0.17 * luck / clump:
                for _ in range(clump):
                    failed[pod][second + draw.randrange(lasts)] += 1
    return [{pod: Tally(sum(failed[pod][at : at + 15]), 500) for pod in failed} for at in range(0, 1800, 15)]


@pytest.mark.parametrize("pods", [pytest.param(3, id="of three pods"), pytest.param(1, id="of a single pod")])
def test_a_clump_that_lies_across_the_end_of_a_block_is_as_large_as_any_other(pods: int) -> None:
    told = second_by_second(clump=6, lasts=12)
    if pods == 1:
        told = [{"all": Tally(sum(each.bad for each in block.values()), 1500)} for block in told]

    assert estimate_overdispersion(told) == pytest.approx(6.0, rel=0.2)


def test_a_pods_luck_lasts_and_is_no_clump_that_lies_across_blocks() -> None:
    assert estimate_overdispersion(second_by_second(pod_luck=2.0)) < 2.2


def test_what_lies_across_blocks_by_chance_makes_no_clumps() -> None:
    assert estimate_overdispersion(second_by_second()) < 1.2


def test_two_blocks_are_enough_to_say_something() -> None:
    assert estimate_overdispersion([{"a": Tally(40, 500)}, {"a": Tally(10, 500)}]) > 5


def test_a_single_one_that_counts_tells_nothing_of_one_time() -> None:
    seen = second_by_second(clump=6)

    assert overdispersion_at_one_time([{"all": each["a"]} for each in seen]) == 1.0
    assert overdispersion_at_one_time(seen) == estimate_overdispersion(seen)


def test_an_incident_that_all_pods_share_is_no_clump() -> None:
    shared = [{pod: Tally(200 if number < 10 else 5, 500) for pod in "abc"} for number in range(60)]
    assert estimate_overdispersion(shared) == 1.0


@pytest.mark.parametrize(
    "told",
    [
        pytest.param([], id="no history"),
        pytest.param([{"a": Tally(9, 500), "b": Tally(0, 500)}], id="a handful of bad requests"),
        pytest.param([{"a": Tally(500, 500)}] * 9, id="nothing but bad ones"),
    ],
)
def test_nothing_is_made_of(told: list[Block]) -> None:
    assert estimate_overdispersion(told) == 1.0


def test_a_hopeless_environment_has_a_bound() -> None:
    assert (
        estimate_overdispersion(
            [{"a": Tally(500 * (n % 2), 500), "b": Tally(500 * (n % 2 == 0), 500)} for n in range(9)]
        )
        == LARGEST
    )


def test_a_sick_pod_of_stable_is_found_by_the_a_a_test() -> None:
    def sick(draw: random.Random, pod: str) -> int:
        return sum(draw.random() < (0.05 if pod == "b" else 0.005) for _ in range(500))

    told = noisy_pod(blocks(sick), MARGIN, 1.0, 0.01)

    assert told is not None
    assert told.pod == "b"
    assert told.own.bad > told.others.bad


def test_equal_pods_pass_it() -> None:
    assert noisy_pod(blocks(by_chance), MARGIN, 1.0, 0.01) is None
    assert noisy_pod(blocks(by_chance, pods="a"), MARGIN, 1.0, 0.01) is None


def test_what_all_pods_share_at_one_time_counts_only_over_time() -> None:
    draw = random.Random(5)
    shared = [draw.choice((5, 50)) for _ in range(120)]
    seen = [{pod: Tally(bad, 500) for pod in "abc"} for bad in shared]

    assert estimate_overdispersion(seen) == 1.0
    assert overdispersion_over_time(seen) > 10.0
