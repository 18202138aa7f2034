"""Columns stand under their headings, whatever is in them, and colours take no room."""

from tidegate.cli.common.columns import Cell, Column, Style, lines_of

COLUMNS = (
    Column("name", left=True),
    Column("requests", "candidate"),
    Column("failed", "candidate"),
    Column("n", "of x"),
)
ROWS = [[Cell("first"), Cell("1,000"), Cell("3", Style.BAD), Cell("1")], [Cell("b"), Cell("7"), Cell(""), Cell("")]]


def test_numbers_stand_at_the_right_and_names_at_the_left() -> None:
    assert lines_of(COLUMNS, ROWS, colour=False) == [
        "       ---candidate----  of x",
        "name   requests  failed     n",
        "first     1,000       3     1",
        "b             7",
    ]


def test_colours_change_nothing_else() -> None:
    plain, coloured = lines_of(COLUMNS, ROWS, colour=False), lines_of(COLUMNS, ROWS, colour=True)

    assert coloured[2] == plain[2].replace("3", "\033[31m3\033[0m")
    assert coloured[3] == plain[3]
