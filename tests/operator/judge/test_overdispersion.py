"""What is learned from stable's pods before a rollout."""

import random
from collections.abc import Callable

import pytest

from tidegate.judge.overdispersion import LARGEST, Block, estimate_overdispersion, noisy_pod, overdispersion_over_time
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
