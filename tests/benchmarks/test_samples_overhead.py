"""What the benchmark of samples makes of its figures; what two equal servers say of them comes first."""

import pytest

from benchmarks.samples_overhead import COMPARED, KEPT_ONLY, NONE, NONE_AGAIN, Block, growth, outcome


def blocks(*p99: float) -> list[Block]:
    return [Block(p50=1.0, p99=each, failed=0, cpu=0.5) for each in p99]


@pytest.mark.parametrize(
    ("again", "compared", "said"),
    [
        pytest.param(10.1, 10.4, "met", id="little more"),
        pytest.param(10.1, 10.6, "missed", id="too much more"),
        pytest.param(12.0, 10.0, "not told, as two equal servers are 20% apart", id="a machine that tells nothing"),
        pytest.param(8.0, 10.0, "not told, as two equal servers are 20% apart", id="in either direction"),
    ],
)
def test_the_goal(again: float, compared: float, said: str) -> None:
    found = {
        NONE: blocks(10.0, 10.0, 10.0),
        NONE_AGAIN: blocks(again, again, 99.0),
        KEPT_ONLY: blocks(10.0, 10.0, 10.0),
        COMPARED: blocks(compared, compared, 1.0),
    }

    assert outcome(found) == said


def test_growth_is_the_median_of_the_rounds() -> None:
    assert growth(blocks(11.0, 40.0, 12.0), blocks(10.0, 10.0, 10.0), lambda each: each.p99) == pytest.approx(0.2)
