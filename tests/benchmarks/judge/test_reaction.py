"""How long a bad model answers."""

from statistics import median

import numpy as np
import pytest

from benchmarks.judge.reaction import BAD, READERS, Bad, ReactionRow, Reader, react, reaction_report
from tidegate.model.spec import Analysis

DIRECTLY, SCRAPED = READERS[0], READERS[2]


def seconds_until_gone(bad: Bad, reader: Reader, analysis: Analysis, runs: int = 12) -> list[float]:
    found = [react(bad, reader, analysis, np.random.default_rng(run)) for run in range(runs)]
    assert all(found)
    return [each.seconds for each in found if each]


@pytest.mark.parametrize("bad", [bad for bad in BAD if bad.rate == 100], ids=lambda bad: bad.title)
def test_a_bad_model_is_gone_in_the_time_that_was_set(bad: Bad, analysis: Analysis) -> None:
    assert median(seconds_until_gone(bad, DIRECTLY, analysis)) <= bad.goal


def test_whoever_waits_for_scrapes_takes_twice_as_long(analysis: Analysis) -> None:
    directly, scraped = (median(seconds_until_gone(BAD[0], reader, analysis)) for reader in (DIRECTLY, SCRAPED))

    assert scraped > 2 * directly


def test_a_model_that_is_as_good_stays(analysis: Analysis) -> None:
    good = Bad("equal", 100, 10, 3.0)

    assert [react(good, reader, analysis, np.random.default_rng(1)) for reader in (DIRECTLY, SCRAPED)] == [None, None]


def test_the_report_tells_what_was_missed() -> None:
    rows = [
        ReactionRow("failing", "routers", 20, 20, 1.94, 4.0, 5.0, 8, 3.0),
        ReactionRow("slow", "routers", 20, 19, 4.0, 4.0, 20.0, 30, 5.0),
        ReactionRow("slow", "Prometheus, 5 s", 20, 20, 10.0, 12.0, 50.0, 60, None),
    ]

    lines = reaction_report(rows).splitlines()
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == [
        "failing", "routers", "1.9 s", "4.0 s", "5", "8", "3 s: met",
    ]  # fmt: skip
    assert "19 of 20 gone" in lines[3]
    assert [row.is_good for row in rows] == [True, False, True]
