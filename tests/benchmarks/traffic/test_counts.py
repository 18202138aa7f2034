"""What is counted of a load, kept and joined."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.traffic.counts import KEPT, NEW, Counts, bucket, quantile, total
from benchmarks.traffic.report import report
from benchmarks.traffic.results import LONG, Result, joined, read, result, save


def counts(good: int, *, reset: int = 0, retried: int = 0) -> Counts:
    """So many good ones of 10 ms, and so many that were reset after 50 ms, of which `retried` a second time too."""
    made = Counts()
    for _ in range(good):
        made.count(late=0.0, took=0.01, fault="", retried="")
    for number in range(reset):
        made.count(late=0.0, took=0.05, fault="reset", retried="reset" if number < retried else "")
    return made


def a_result(event: str, kept: Counts, new: Counts, seconds: float = 1.0) -> Result:
    return Result(event, {KEPT: kept, NEW: new}, seconds, 100.0, "2026-01-01T00:00+00:00")


def test_a_lost_request_is_counted_once_and_with_its_retry_where_that_was_lost_too() -> None:
    made = counts(3, reset=2, retried=1)
    assert (made.sent, made.lost, made.lost_with_retry, made.faults) == (5, 2, 1, Counter({"reset": 2}))


@pytest.mark.parametrize("seconds", [0.0002, 0.01, 1.0, 30.0])
def test_a_quantile_is_off_by_a_tenth_at_most(seconds: float) -> None:
    found = quantile({bucket(seconds): 1}, 0.99)
    assert found is not None
    assert seconds * 0.999 <= found <= seconds * 1.101


def test_there_is_no_quantile_of_nothing() -> None:
    assert quantile({}, 0.99) is None


def test_what_is_kept_is_read_back_and_joined_by_event(tmp_path: Path) -> None:
    first = a_result("promote", counts(90, reset=1), counts(9))
    other = a_result("scale", counts(50), counts(50))
    again = a_result("promote", counts(100), counts(100, reset=1, retried=1), 2.0)
    place = tmp_path / "there" / "results.json"
    save([first, other, again], place)

    assert read(place) == [first, other, again]
    both, alone = joined(read(place))
    assert (both.event, both.seconds, both.all.sent, both.all.lost, both.all.lost_with_retry) == (
        "promote",
        3,
        301,
        2,
        1,
    )
    assert alone == other


def test_requests_of_a_minute_are_no_part_of_the_rate() -> None:
    loads: list[dict[str, Any]] = [
        {"seconds": 2.0, KEPT: told(counts(160)), NEW: told(counts(40))},
        {LONG: told(counts(7))},
    ]
    found = result("long-requests", loads, 100.0, "", "")
    assert (found.rate, found.all.sent) == (100.0, 207)


def told(made: Counts) -> dict[str, Any]:
    return {**made.to_dict(), "examples": []}


def test_the_report_has_a_line_for_each_event_and_says_where_the_load_fell_behind() -> None:
    slow = a_result("scale", counts(40), counts(10))
    text = report([a_result("promote", counts(80, reset=1), counts(20)), slow], {"scale": "3, 1, 5"}, "two cores")

    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    assert [line[:5] for line in lines[2:]] == [
        ["promote", "101", "101", "1", "0"],
        ["3, 1, 5", "50", "50", "0", "0"],
        ["**all of them**", "151", "", "1", "0"],
    ]
    assert lines[2][6] == "1 reset"
    assert "- 3, 1, 5: 100 requests a second were asked for, 50 were sent" in text


def test_nothing_together_is_nothing() -> None:
    assert total([]) == Counts()
