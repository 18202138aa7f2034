"""Figures in sentences are such as people write."""

import math

import pytest

from tidegate.judge.explain import told_milliseconds


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        pytest.param(0.000703, "0.703 ms", id="less than one"),
        pytest.param(0.0314, "31.4 ms", id="three digits"),
        pytest.param(0.9996, "1,000 ms", id="all but a second"),
        pytest.param(3.0821, "3,082 ms", id="seconds"),
        pytest.param(math.nan, "unknown", id="nothing measured"),
    ],
)
def test_milliseconds_are_told_without_an_exponent(seconds: float, told: str) -> None:
    assert told_milliseconds(seconds) == told
