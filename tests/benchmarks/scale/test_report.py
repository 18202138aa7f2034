"""The report has every figure of both codes, the calls by name, and what went wrong."""

from dataclasses import replace

from benchmarks.scale.report import report
from tests.benchmarks.scale.examples import OPERATOR, THIS

SMALL = replace(THIS, models=100, operator=replace(OPERATOR, live=4.0))
BEFORE = [replace(SMALL, code="abc1234"), replace(THIS, code="abc1234", operator=replace(OPERATOR, live=150.0))]


def cells(drawn: str, begin: str) -> list[str]:
    (row,) = (line for line in drawn.splitlines() if line.startswith(begin))
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_each_figure_is_told_at_each_size_with_its_growth() -> None:
    drawn = report([SMALL, THIS, *BEFORE], "two cores")
    table = drawn.partition("### Operator")[2].partition("### Router")[0]
    assert cells(table, "| all are live after") == ["all are live after", "this code", "4.0 s", "30.0 s", "7.5×"]
    assert "| abc1234   | 4.0 s" in table
    assert "37.5×" in table
    assert "Measured on two cores." in drawn


def test_calls_are_told_by_verb_and_kind() -> None:
    assert "- this code, 1,000: in a quiet minute 20 × get leases, 20 × update leases, and 6 watches" in report(
        [THIS], "two cores"
    )


def test_what_went_wrong_stands_out() -> None:
    drawn = report([replace(THIS, router=None, trouble="router: not within 120 s: the last model is routed")], "x")
    assert "- **MISSED** this code, 1,000: router: not within 120 s" in drawn
