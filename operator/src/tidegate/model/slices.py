"""Groups of requests that are judged by themselves: by the value of a header. Pure.

A request is in one *cell*: a value of each slice, or `other` where it has none of those that are listed. Cells have
names that say nothing of the values, and that change with what is listed: what was counted under another list is never
taken for this one's.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any

from tidegate.model.matching import is_routers_own

OTHER = "other"
MOST_SLICES, MOST_VALUES, MOST_CELLS = 3, 16, 64
"""Each cell is three counters more of each revision."""
LONGEST_VALUE = 64
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,30}[a-z0-9])?")
_HEADER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
_VALUE = re.compile(rf"[!-~]([ -~]{{0,{LONGEST_VALUE - 2}}}[!-~])?")


@dataclass(frozen=True)
class Slice:
    """`values` of a header whose requests are judged by themselves; all others count as `other`.

    `header` is in small letters.
    """

    name: str
    header: str
    values: tuple[str, ...]
    required: bool = False
    """Whether a promotion waits until each of the values is shown to be no worse."""

    @property
    def groups(self) -> tuple[str, ...]:
        """What its requests are told apart by."""
        return *self.values, OTHER


Slices = tuple[Slice, ...]


def read_slices(raw: object, where: str) -> Slices:
    """From a list of the API at `where`. Raises ValueError with a sentence that names the field."""
    if not isinstance(raw, Sequence) or isinstance(raw, str) or len(raw) > MOST_SLICES:
        raise ValueError(f"{where}: it must be a list of at most {MOST_SLICES} slices")
    slices = tuple(_slice(each, f"{where}[{at}]") for at, each in enumerate(raw))
    if len({each.name for each in slices}) < len(slices):
        raise ValueError(f"{where}: two slices have one name; give each its own")
    cells = prod(len(each.groups) for each in slices)
    if cells > MOST_CELLS:
        raise ValueError(
            f"{where}: {cells} combinations of values, with `{OTHER}` of each slice, are counted apart, and "
            f"{MOST_CELLS} is the most; list fewer values or slices"
        )
    return slices


def plain_slices(slices: Slices) -> list[dict[str, Any]]:
    """What `read_slices` reads of what a route needs: `required` is none of it."""
    return [{"name": each.name, "header": each.header, "values": list(each.values)} for each in slices]


def _slice(raw: object, where: str) -> Slice:
    if not isinstance(raw, Mapping):
        raise ValueError(f"{where}: {raw!r} is not an object")
    name, header = _text(raw, "name", where, _NAME), _text(raw, "header", where, _HEADER).lower()
    if is_routers_own(header):
        raise ValueError(f"{where}.header: {header} is not the client's to set; name one that tells requests apart")
    values, required = raw.get("values"), raw.get("required", False)
    if not isinstance(values, Sequence) or isinstance(values, str) or not 1 <= len(values) <= MOST_VALUES:
        raise ValueError(f"{where}.values: it must be a list of 1 to {MOST_VALUES} values of the header")
    for value in values:
        if not isinstance(value, str) or not _VALUE.fullmatch(value) or value == OTHER:
            raise ValueError(
                f"{where}.values: {value!r} must be 1 to {LONGEST_VALUE} printable characters, no space at either end, "
                f"and not `{OTHER}`, which is what all others are called"
            )
    if len(set(values)) < len(values):
        raise ValueError(f"{where}.values: a value is listed twice")
    if not isinstance(required, bool):
        raise ValueError(f"{where}.required: {required!r} is neither true nor false")
    return Slice(name, header, tuple(values), required)


def _text(raw: Mapping[str, Any], field: str, where: str, pattern: re.Pattern[str]) -> str:
    value = raw.get(field)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{where}.{field}: {value!r} doesn't match {pattern.pattern}")
    return value


CELL = "slice_"
"""How the names of all cells begin."""
CELL_PATTERN = rf"{CELL}[0-9a-f]{{8}}(?:_[0-9]+)+"
"""The names of all cells, as a regular expression that RE2 takes too."""


def cell_name(slices: Slices, at: Sequence[int]) -> str:
    """`slice_5ac0ffee_2_0`: of each slice the index of its group."""
    return "_".join((f"{CELL}{_digest(slices)}", *map(str, at)))


def groups_of(slices: Slices) -> Iterator[tuple[Slice, str]]:
    """All groups that are judged, in the order of the spec."""
    return ((each, group) for each in slices for group in each.groups)


@lru_cache(maxsize=256)
def cells_of(slices: Slices) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """(name of a slice, group) → the cells that make it up."""
    indices = list(product(*(range(len(each.groups)) for each in slices)))
    return {
        (each.name, group): tuple(cell_name(slices, at) for at in indices if at[position] == index)
        for position, each in enumerate(slices)
        for index, group in enumerate(each.groups)
    }


def _digest(slices: Slices) -> str:
    said = repr([(each.header, each.values) for each in slices])
    return hashlib.blake2b(said.encode(), digest_size=4).hexdigest()
