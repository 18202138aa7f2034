"""Rows of text in columns, for a terminal or a file. Pure."""

from collections.abc import Sequence
from enum import Enum
from itertools import groupby
from typing import NamedTuple

GAP = "  "


class Style(Enum):
    """What a cell means; the value is the terminal's code for its colour."""

    PLAIN = ""
    BAD = "31"
    DOUBTFUL = "33"
    GOOD = "32"


class Column(NamedTuple):
    """Columns side by side with the same `group` share a heading above their own."""

    title: str
    group: str = ""
    left: bool = False


class Cell(NamedTuple):
    """What stands in one place."""

    text: str
    style: Style = Style.PLAIN


def lines_of(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], *, colour: bool) -> list[str]:
    """The headings and the rows, each a line without white space at its end."""
    widths = [max([len(column.title), *(len(row[index].text) for row in rows)]) for index, column in enumerate(columns)]
    titles = [Cell(column.title) for column in columns]
    groups = [_groups(columns, widths)] if any(column.group for column in columns) else []
    return [*groups, *(_line(columns, widths, cells, colour) for cells in (titles, *rows))]


def styled(text: str, style: Style, *, colour: bool) -> str:
    """The text in the colour of its meaning, where colours are wanted."""
    return f"\033[{style.value}m{text}\033[0m" if colour and style.value and text else text


def _groups(columns: Sequence[Column], widths: list[int]) -> str:
    """The line above the titles. A heading that is wider than its columns widens the last of them."""
    parts = []
    for group, members in groupby(range(len(columns)), key=lambda index: columns[index].group):
        inside = list(members)
        wide = sum(widths[index] for index in inside) + len(GAP) * (len(inside) - 1)
        if len(group) > wide:
            widths[inside[-1]] += len(group) - wide
            wide = len(group)
        parts.append(group.center(wide, "-") if group and len(group) < wide - 1 else group.ljust(wide))
    return GAP.join(parts).rstrip()


def _line(columns: Sequence[Column], widths: Sequence[int], cells: Sequence[Cell], colour: bool) -> str:
    parts = []
    for column, width, cell in zip(columns, widths, cells, strict=True):
        space = " " * (width - len(cell.text))
        text = styled(cell.text, cell.style, colour=colour)
        parts.append(text + space if column.left else space + text)
    return GAP.join(parts).rstrip()
