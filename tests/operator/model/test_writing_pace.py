"""However many rollouts there are, what they write while nothing happens stays within bounds."""

from datetime import timedelta

import pytest

from tidegate.model.writing_pace import numbers_each


@pytest.mark.parametrize(
    ("rollouts", "seconds"),
    [
        pytest.param(1, 30, id="one: twice a minute"),
        pytest.param(25, 30, id="still as often"),
        pytest.param(50, 60, id="fifty: once a minute, less than one a second together"),
        pytest.param(1000, 300, id="a thousand: nobody waits longer"),
    ],
)
def test_the_more_rollouts_the_more_seldom_each_writes_its_numbers(rollouts: int, seconds: int) -> None:
    assert numbers_each(rollouts) == timedelta(seconds=seconds)
