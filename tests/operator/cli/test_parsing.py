"""Amounts are read as people write them; what makes no sense is refused with a sentence that names it."""

from collections.abc import Callable

import pytest

from tidegate.cli.common.errors import Unusable
from tidegate.cli.common.parsing import error_rate, share, span, times


@pytest.mark.parametrize(
    ("text", "factor"), [("x5", 5), ("×5", 5), ("1.2x", 1.2), ("3", 3), ("+100%", 2), ("-20%", 0.8)]
)
def test_a_multiple_is_read(text: str, factor: float) -> None:
    assert times(text) == pytest.approx(factor)


def test_an_error_rate_is_a_multiple_or_a_share() -> None:
    assert error_rate("x5", 0.005) == pytest.approx(0.025)
    assert error_rate("2.5%", 0.005) == pytest.approx(0.025)
    assert error_rate("+100%", 0.005) == pytest.approx(0.01)
    assert error_rate("x500", 0.005) == 1.0


@pytest.mark.parametrize(
    ("read", "text"), [(times, "5 times"), (times, "-120%"), (share, "1"), (share, "200%"), (span, "30"), (span, "0s")]
)
def test_amounts_that_make_no_sense_are_refused(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(Unusable, match=text.replace("+", r"\+")):
        read(text)
