"""How a model's inputs were distributed in training: features of a row, and how many values were in which bin. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

import numpy as np

from tidegate_server.protocol.tensors import Array

MISSING = "missing"
"""The bin of NaN, of an empty string, and of a value that a request doesn't have."""
ANY_OTHER = "any other"
"""The bin of a string that isn't among the categories."""


@dataclass(frozen=True)
class Feature:
    """One value of each row, and the bins that it is counted in: between edges, or one for each category."""

    name: str
    input: str
    column: int | None
    """Its place in the row, whose values are taken one after the other; None for the mean of all of them."""
    counts: tuple[int, ...]
    """Of the training data, bin by bin."""
    edges: tuple[float, ...] = ()
    """Ascending. A bin holds its lower edge and not its upper one, but for the last, which holds both."""
    categories: tuple[str, ...] = ()
    """Of a string; empty where there are edges."""

    @cached_property
    def bins(self) -> tuple[str, ...]:
        """What each bin is called, all of them different."""
        if self.categories:
            return (*self.categories, ANY_OTHER, MISSING)
        between = [f"{low:.12g}..{high:.12g}" for low, high in pairwise(self.edges)]
        return (f"below {self.edges[0]:.12g}", *between, f"above {self.edges[-1]:.12g}", MISSING)

    def values(self, rows: Array) -> Array | None:
        """One of each row of its input, which are flat; None where rows have none at that place."""
        if self.column is None:
            return np.asarray(rows.mean(axis=1, dtype=np.float64))
        return rows[:, self.column] if self.column < rows.shape[1] else None

    def bins_of(self, values: Array) -> Array:
        """The number of the bin of each."""
        if self.categories:
            other = len(self.categories)
            numbers = {**{category: number for number, category in enumerate(self.categories)}, "": other + 1}
            return np.array([numbers.get(str(value), other) for value in values.tolist()], np.intp)
        edges, floats = np.array(self.edges), values.astype(np.float64)
        bins = np.searchsorted(edges, floats, side="right")
        bins[floats == edges[-1]] = len(edges) - 1
        bins[np.isnan(floats)] = len(edges) + 1
        return bins


@dataclass(frozen=True)
class TrainingProfile:
    """The features that are counted. `by_row`: inputs begin with the rows of a request; else a request is one row."""

    features: tuple[Feature, ...]
    by_row: bool = True

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Those that features are taken from."""
        return tuple(dict.fromkeys(feature.input for feature in self.features))

    @cached_property
    def bounds(self) -> tuple[tuple[int, int], ...]:
        """Where each feature's bins begin and end in a list of all of them."""
        ends = list(accumulate((len(feature.bins) for feature in self.features), initial=0))
        return tuple(pairwise(ends))

    def row(self, arrays: Mapping[str, Array], number: int) -> dict[str, Array]:
        """Copies of one row of each input that is there; of none that has so few rows."""
        if not self.by_row:
            return {name: arrays[name].reshape(1, -1).copy() for name in self.inputs if name in arrays}
        return {name: arrays[name][number : number + 1].copy() for name in self.inputs if name in arrays}
