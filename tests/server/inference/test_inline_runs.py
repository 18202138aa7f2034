"""Where small batches run, by what they really take."""

import pytest

from tidegate_server.inference.inline_runs import InlineRuns

SLOW, QUICK = 0.06, 0.001


def after(*runs: float) -> bool:
    decided = InlineRuns(planned=True)
    for seconds in runs:
        decided.ran(seconds)
    return decided.are_on


@pytest.mark.parametrize(
    ("runs", "are_on"),
    [
        pytest.param([SLOW] * 9, True, id="a few"),
        pytest.param([SLOW] * 10, False, id="ten in a row"),
        pytest.param([SLOW, *[QUICK] * 100] * 10, False, id="ten within a thousand"),
        pytest.param([SLOW, *[QUICK] * 200] * 100, True, id="one in two hundred for ever"),
        pytest.param([SLOW] * 10 + [QUICK] * 999, False, id="nearly a thousand quick ones"),
        pytest.param([SLOW] * 10 + [QUICK] * 1000, True, id="a thousand quick ones"),
        pytest.param([SLOW] * 10 + [QUICK] * 500 + [SLOW] + [QUICK] * 999, False, id="a slow one among the quick"),
    ],
)
def test_small_batches_run_in_the_event_loop_unless_ten_of_a_thousand_are_slow(runs: list[float], are_on: bool) -> None:
    assert after(*runs) is are_on


def test_what_was_not_planned_never_happens() -> None:
    decided = InlineRuns(planned=False)
    assert not any(decided.ran(QUICK) for _ in range(3000))
    assert not decided.are_on
