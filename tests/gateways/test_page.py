"""The page says what was counted, and whether the goal was met."""

from tests.gateways.beside import FLAGGER, Release
from tests.gateways.page import SECTION, report
from tests.gateways.trial import BARE, TIDEGATE, Row

AT = "2026-11-30T09:00+00:00"


def row(by: str, event: str, lost: dict[str, int], notes: str = "") -> Row:
    return Row("Contour 1.33.8", by, event, 2_000, 3, lost, notes, AT)


def test_a_table_for_each_says_what_was_lost_and_why() -> None:
    lines = report([row(TIDEGATE, "rollback", {}, "3 bad answers"), row(BARE, "pods deleted", {"status 503": 2})], [])
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines.splitlines() if "1.33.8" in line]
    assert cells == [
        ["rollback", "Contour 1.33.8", "2,000", "0", "3", "3 bad answers"],
        ["pods deleted", "Contour 1.33.8", "2,000", "2 (2 status 503)", "3", ""],
    ]


def test_the_goal_is_judged_by_medians() -> None:
    def release(by: str, seconds: float) -> Release:
        return Release(by, seconds, 5, 20, 900, 0)

    ours = [release(TIDEGATE, seconds) for seconds in (2.0, 3.0, 10.0)]
    theirs = [release(FLAGGER, seconds) for seconds in (290.0, 300.0, 310.0)]
    assert "Tidegate 3.0 s, Flagger 300.0 s, which is 100 times as long" in report([], [*ours, *theirs])
    assert "at least 8 times, met." in report([], [*ours, *theirs])
    assert "at least 8 times, missed." in report([], [*ours, release(FLAGGER, 20.0)])


def test_a_release_that_lost_requests_says_why() -> None:
    release = Release(FLAGGER, 300.0, 5, 20, 900, 3, "2 timeout, 1 status 503")
    assert "3 (2 timeout, 1 status 503)" in report([], [release])


def test_one_side_alone_is_compared_with_nothing() -> None:
    assert "Goal" not in report([], [Release(TIDEGATE, 3.0, 5, 20, 900, 0)])


def test_the_page_has_a_place_for_the_report() -> None:
    SECTION.check()
