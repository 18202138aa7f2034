"""Increments that tell too little: short ones, and those of arms that are scraped apart."""

from datetime import UTC, datetime, timedelta

import pytest

from tidegate.judge.blocks import Blocks, ShortIncrements, SteadyBlocks
from tidegate.model.evidence import Counts, Increment

START = datetime(2026, 1, 1, tzinfo=UTC)
FIVE = timedelta(seconds=5)


def increment(second: int, failed: int = 7, *, concurrent: bool = True) -> Increment:
    """Of stable, 1,350 requests; of the candidate, 150."""
    return Increment(START + timedelta(seconds=second), Counts(1350, failed), Counts(150, 1), concurrent=concurrent)


def test_three_increments_are_one_block() -> None:
    blocks = Blocks(3, FIVE)
    ended = [blocks.join(increment(second)) for second in (5, 10, 15, 20)]

    assert ended == [None, None, Increment(START + 3 * FIVE, Counts(4050, 21), Counts(450, 3)), None]


def test_at_a_shift_of_traffic_a_block_begins_anew() -> None:
    blocks = Blocks(2, FIVE)
    ended = [blocks.join(increment(second)) for second in (5, 20, 25)]

    assert [block and block.stable.requests for block in ended] == [None, None, 2700]


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        pytest.param([7, 5, 9, 7], [None, 0, 1, 2], id="stable as ever: each passes, a block later"),
        pytest.param([7, 7, 585, 315, 7, 7, 7], [None, 0, None, None, None, None, 5], id="an outage and its fringes"),
        pytest.param([7, 68, 70, 66], [None, None, None, 2], id="what lasts is judged"),
    ],
)
def test_what_passes_with_stables(failures: list[int], expected: list[int | None]) -> None:
    steady = SteadyBlocks(1.0)
    blocks = [increment(15 * number, failed) for number, failed in enumerate(failures)]
    passed = [steady.settle(block) for block in blocks]

    assert [block and blocks.index(block) for block in passed] == expected


def test_without_stable_nothing_is_waited_for() -> None:
    alone = increment(15, 0, concurrent=False)

    assert SteadyBlocks(1.0).settle(alone) == alone


def short(since: float, until: float, requests: int, *, concurrent: bool = True) -> Increment:
    """Of the candidate so many requests, of stable nine times as many."""
    return Increment(
        START + timedelta(seconds=until),
        Counts(9 * requests if concurrent else 0),
        Counts(requests),
        concurrent=concurrent,
        since=START + timedelta(seconds=since),
    )


@pytest.mark.parametrize(
    ("increments", "expected"),
    [
        pytest.param([short(0, 1, 10)], [short(0, 1, 10)], id="enough requests"),
        pytest.param([short(0, 0.5, 3), short(0.5, 0.75, 2)], [short(0, 0.75, 5)], id="enough together"),
        pytest.param([short(0, 1, 1), short(1, 3, 1)], [], id="too few so far"),
        pytest.param([short(0, 2, 1), short(2, 5, 0)], [short(0, 5, 1)], id="few, but for long enough"),
        pytest.param([short(0, 1, 5, concurrent=False)], [short(0, 1, 5, concurrent=False)], id="of one arm alone"),
        pytest.param([short(0, 1, 2), short(4, 5, 6)], [short(0, 1, 2), short(4, 5, 6)], id="a shift in between"),
        pytest.param([short(0, 1, 2), increment(5)], [short(0, 1, 2), increment(5)], id="another source goes on"),
    ],
)
def test_short_increments_are_joined_until_they_tell_something(
    increments: list[Increment], expected: list[Increment]
) -> None:
    joiner = ShortIncrements(enough=5)

    assert [joined for each in increments for joined in joiner.join(each)] == expected
