"""Durations, percentages and instants, both directions."""

from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.model.units import (
    format_duration,
    format_instant,
    format_percent,
    parse_duration,
    parse_instant,
    parse_percent,
    parse_quantity,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("1h30m", timedelta(minutes=90)),
        ("5ms", timedelta(milliseconds=5)),
        ("0s", timedelta()),
        ("1m1m", timedelta(minutes=2)),
    ],
)
def test_the_duration(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-5s", "1.5s", "5d", "5s!"])
def test_no_duration_is(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration such as 90s, 2m or 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, "0s"), (59, "59s"), (60, "1m"), (90, "1m30s"), (3600, "1h"), (5400, "1h30m")]
)
def test_seconds_are_written_as(seconds: int, expected: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == expected


@given(st.integers(0, 10**6))
def test_a_duration_in_whole_seconds_reads_back(seconds: int) -> None:
    assert parse_duration(format_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize(("text", "share"), [("0.5%", 0.005), ("100%", 1.0), ("0%", 0.0)])
def test_the_percentage(text: str, share: float) -> None:
    assert parse_percent(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["0.5", "", "many%"])
def test_no_percentage_is(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a percentage|could not convert"):
        parse_percent(text)


@pytest.mark.parametrize(("share", "text"), [(0.0041, "0.41%"), (0.25, "25%"), (0.0, "0%"), (0.12345, "12.3%")])
def test_a_share_is_written_as(share: float, text: str) -> None:
    assert format_percent(share) == text


def test_instants_are_written_in_utc_and_whole_seconds() -> None:
    there = datetime(2026, 1, 1, 14, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=2)))

    assert format_instant(there) == "2026-01-01T12:00:00Z"
    assert parse_instant("2026-01-01T12:00:00Z") == datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        (1, 1),
        (0.5, Fraction(1, 2)),
        (".5", Fraction(1, 2)),
        ("1.", 1),
        ("500m", Fraction(1, 2)),
        ("500000u", Fraction(1, 2)),
        ("500000000n", Fraction(1, 2)),
        ("1e3", 1000),
        ("1E3", 1000),
        ("5e-1", Fraction(1, 2)),
        ("1E", 10**18),
        ("1k", 1000),
        ("1Ki", 1024),
        ("1Gi", 2**30),
        ("1024Mi", 2**30),
        ("1Pi", 2**50),
        ("1Ei", 2**60),
    ],
)
def test_a_quantity_is_exact(text: str | int | float, expected: Fraction | int) -> None:
    assert parse_quantity(text) == expected


@pytest.mark.parametrize("text", ["", "half", "1 Gi", "1ki", "Gi", "1e999999999", "0x1", "."])
def test_no_quantity_is(text: str) -> None:
    with pytest.raises(ValueError, match="quantity"):
        parse_quantity(text)
