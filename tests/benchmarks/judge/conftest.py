"""What the tests of the judge's benchmark share: arms and recordings by hand, and the product's default analysis."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from benchmarks.judge.tidegate_defaults import default_analysis
from benchmarks.judge.traffic import HORIZON, Arm, Floats, Ints, Recording
from tidegate.model.spec import Analysis
from tidegate.simulation.synthetic_traffic import BOUNDS

POLLS = HORIZON // 5


@pytest.fixture(scope="session")
def analysis() -> Analysis:
    """The product's defaults."""
    return default_analysis()


@pytest.fixture(scope="session")
def an_arm() -> Callable[..., Arm]:
    """Ten requests in each poll of five seconds, unless said otherwise; where `slow` is given, latency was drawn.

    `failed` and `slow` name, per second at which a poll ends, how many of its requests did: slow ones took two seconds.
    """

    def build(requests: int = 10, failed: dict[int, int] | None = None, slow: dict[int, int] | None = None) -> Arm:
        histogram = np.zeros((POLLS, 0), dtype=np.int64)
        if slow is not None:
            histogram = np.full((POLLS, len(BOUNDS)), requests)
            histogram[:, :-1] -= _per_poll(slow)[:, np.newaxis]
        nothing = np.zeros((POLLS, 0), dtype=np.int64)
        return Arm(np.full(POLLS, requests), _per_poll(failed or {}), histogram, nothing)

    return build


@pytest.fixture(scope="session")
def a_recording(an_arm: Callable[..., Arm]) -> Callable[..., Recording]:
    """This candidate beside a stable without failures; stable is its own baseline."""

    def build(candidate: Arm, stable: Arm | None = None) -> Recording:
        stable = stable or an_arm(slow={} if candidate.has_latency else None)
        return Recording(5, stable, stable, candidate, ())

    return build


@pytest.fixture(scope="session")
def points() -> Callable[[Sequence[float]], Floats]:
    """A series as the rules take it."""
    return lambda values: np.array(values, dtype=np.float64)


def _per_poll(counted: dict[int, int]) -> Ints:
    polls = np.zeros(POLLS, dtype=np.int64)
    for second, count in counted.items():
        polls[second // 5 - 1] = count
    return polls
