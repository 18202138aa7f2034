"""One sick pod among several is named; a sick model isn't blamed on a pod."""

from collections.abc import Mapping

import pytest

from tidegate.judge.pods import SickPod, Tally, sick_pod
from tidegate.model.spec import Margin

MARGIN = Margin(1.25, 0.001)


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        pytest.param(
            {"a": Tally(30, 100), "b": Tally(0, 100), "c": Tally(1, 150)},
            SickPod("a", Tally(30, 100), Tally(1, 250)),
            id="one fails, the others don't: that one",
        ),
        pytest.param({"a": Tally(30, 100), "b": Tally(25, 100)}, None, id="all fail: the model"),
        pytest.param({"a": Tally(30, 100)}, None, id="a single pod: nobody can tell"),
        pytest.param({"a": Tally(30, 100), "b": Tally(0, 20)}, None, id="too few requests of the others"),
        pytest.param({"a": Tally(3, 100), "b": Tally(0, 100)}, None, id="three failures may be luck"),
        pytest.param({"a": Tally(0, 100), "b": Tally(0, 100)}, None, id="nothing failed at all"),
        pytest.param(
            {"a": Tally(300, 1000), "b": Tally(9, 900)}, None, id="the others are beyond the margin as well: the model"
        ),
    ],
)
def test_blamed_is(pods: Mapping[str, Tally], expected: SickPod | None) -> None:
    assert sick_pod(pods, 0.005, MARGIN) == expected
