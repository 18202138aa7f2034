"""What a model is asked, counted in the bins of its training profile: one row of each request.

Rows of one request are often of one user, so one of them is drawn and counted: evidence is by requests. A request costs
a copy of that row; rows are counted some hundred at a time, and at every scrape.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import randrange
from threading import Lock

import numpy as np

from tidegate_server.protocol.tensors import Array
from tidegate_server.protocol.training_profile import TrainingProfile

MAX_PENDING_ROWS = 256
MAX_PENDING_ELEMENTS = 65_536

Row = Mapping[str, Array]
"""By input, each with a first dimension of 1."""


@dataclass(frozen=True)
class InputCounts:
    """By how requests came: rows in each bin, feature after feature."""

    profile: TrainingProfile
    by_traffic: Mapping[str, tuple[int, ...]]

    def __add__(self, other: "InputCounts") -> "InputCounts":
        """Of the same profile."""
        return InputCounts(
            self.profile,
            {
                traffic: tuple([a + b for a, b in zip(counts, other.by_traffic[traffic], strict=True)])
                for traffic, counts in self.by_traffic.items()
            },
        )


@dataclass(slots=True)
class _Pending:
    """Rows that haven't been counted yet."""

    rows: list[Row] = field(default_factory=list)
    elements: int = 0


class InputCounter:
    """Counts what is asked. Any thread may call anything."""

    def __init__(
        self, profile: TrainingProfile, ways: Iterable[str], *, draw: Callable[[int], int] = randrange
    ) -> None:
        """Everything at zero. `ways` in which requests come; `draw` gives a number below another one by chance."""
        self._profile, self._draw = profile, draw
        self._lock = Lock()
        self._pending = {traffic: _Pending() for traffic in ways}
        bins = profile.bounds[-1][1]
        self._counts = {traffic: np.zeros(bins, np.int64) for traffic in self._pending}

    def asked(self, arrays: Mapping[str, Array], rows: int, traffic: str) -> None:
        """Notes one row of a request that has run."""
        if rows < 1:
            return
        row = self._profile.row(arrays, self._draw(rows) if rows > 1 else 0)
        with self._lock:
            pending = self._pending[traffic]
            pending.rows.append(row)
            pending.elements += sum([array.size for array in row.values()])
            if len(pending.rows) < MAX_PENDING_ROWS and pending.elements < MAX_PENDING_ELEMENTS:
                return
            self._pending[traffic] = _Pending()
        self._count(pending.rows, traffic)

    def counts(self) -> InputCounts:
        """All that was asked by now."""
        for traffic in self._counts:
            with self._lock:
                pending, self._pending[traffic] = self._pending[traffic], _Pending()
            self._count(pending.rows, traffic)
        with self._lock:
            return InputCounts(self._profile, {traffic: tuple(c.tolist()) for traffic, c in self._counts.items()})

    def _count(self, rows: Sequence[Row], traffic: str) -> None:
        if not rows:
            return
        found = count_rows(self._profile, rows)
        with self._lock:
            self._counts[traffic] += found


def count_rows(profile: TrainingProfile, rows: Sequence[Row]) -> Array:
    """How many rows are in each bin, feature after feature."""
    counts = np.zeros(profile.bounds[-1][1], np.int64)
    inputs = {name: _one_below_the_other(name, rows) for name in profile.inputs}
    for feature, (begin, end) in zip(profile.features, profile.bounds, strict=True):
        seen = 0
        for values in inputs[feature.input]:
            found = feature.values(values)
            if found is not None:
                counts[begin:end] += np.bincount(feature.bins_of(found), minlength=end - begin)
                seen += len(found)
        counts[end - 1] += len(rows) - seen
    return counts


def _one_below_the_other(name: str, rows: Sequence[Row]) -> list[Array]:
    """The rows of each length by themselves."""
    by_length: dict[int, list[Array]] = {}
    for row in rows:
        if name in row and row[name].size:
            by_length.setdefault(row[name].size, []).append(row[name].reshape(1, -1))
    return [np.concatenate(alike) for alike in by_length.values()]
