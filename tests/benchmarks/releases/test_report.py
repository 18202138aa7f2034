"""The report says what was seen, marks what is missed, and finds its place in the page."""

from dataclasses import replace

from benchmarks.releases.report import line, report
from benchmarks.releases.scenarios import failing
from tests.benchmarks.releases.examples import GONE, STAYED, STUCK, before, of, of_equal, of_failing, of_slow


def test_a_report_has_goals_every_release_and_all_figures() -> None:
    drawn = report([of_failing(2.0, 3.0, 4.0)], "two cores")
    assert "MISSED" not in drawn
    assert "### failing, scraped every 2 s" in drawn
    assert "3 releases under 100 requests a second, by 10 % and 50 % of them" in drawn
    assert "- First to last bad answer: median 3.0 s, at most 4.0 s (2.0, 3.0, 4.0)" in drawn
    assert "- Users who saw a bad answer: median 6.0, at most 6 (6, 6, 6)" in drawn
    assert "- Requests: 12,000 in all, 0 lost" in drawn
    assert "Measured on two cores." in drawn


def test_the_baseline_stands_beside_each_goal_and_has_a_part_of_its_own() -> None:
    drawn = report([of_failing(2.0), before(of_failing(6.0))], "two cores")
    (row,) = (line for line in drawn.splitlines() if "median of first to last" in line)
    assert [cell.strip() for cell in row.split("|")[3:6]] == ["2.0 s", "6.0 s", "met"]
    assert "### failing, scraped every 2 s, abc1234" in drawn


def test_every_row_of_a_table_is_as_long_as_its_head() -> None:
    drawn = report([of_failing(4.0), of_slow(7.0), of_equal(STAYED)], "two cores")
    lengths = [len(row) for row in drawn.splitlines() if row.startswith("|")]
    assert len(set(lengths)) <= 4  # of the goals' table and of three scenarios'


def test_what_is_missed_is_marked_with_what_was_seen_instead() -> None:
    drawn = report([of(failing(2, 2), GONE, STUCK, lost=3)], "two cores")
    goals = [row for row in drawn.splitlines() if row.startswith("| failing")]
    assert [row.endswith("**MISSED** |") for row in goals] == [True] * 5
    assert "not in time !" in drawn
    assert "- **MISSED** release 2: not within 180 s; Canary, not enough evidence" in drawn
    assert "- First to last bad answer: median 6.5 s, at most 6.5 s (6.5)" in drawn  # of the one that was taken back
    assert "- Requests: 12,000 in all, 3 lost, 3 × reset" in drawn


def test_an_equal_candidate_that_went_back_is_marked() -> None:
    drawn = report([of_equal(STAYED, GONE)], "two cores")
    assert "RolledBack, ErrorRateWorse !" in drawn
    assert "- **MISSED** release 2: fails on 20% of the requests" in drawn
    assert "- From apply to promotion: median 140.0 s, at most 140.0 s (140.0)" in drawn


def test_a_scenario_that_ended_early_says_why() -> None:
    drawn = report([of(failing(2, 2), trouble="not live within 180 s: Starting")], "two cores")
    assert "- **MISSED** ended early: not live within 180 s: Starting" in drawn
    assert "- First to last bad answer: nothing was seen" in drawn


def test_a_lost_request_is_marked_in_its_row() -> None:
    measured = of(failing(2, 1), replace(GONE, lost=2))
    assert line(measured, measured.releases[0]).endswith("all requests 4,000, lost 2 !")


def test_one_release_in_one_line() -> None:
    measured = of_slow(7.0)
    assert line(measured, measured.releases[0]) == (
        "RolledBack, LatencyWorse; first to last answer 7.0 s, its answers 80, slower by 1 ms, "
        "all requests 4,000, lost 0"
    )
