"""How texts of different lengths share a run, and how each gets back what it would have got alone. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tidegate_server.protocol.tensors import Array

SHORTEST_BUCKET = 32
"""Tokens. Shorter texts cost little more when they are padded to so many, and most share a run so."""
ANY_PADDING = 2**31
"""More tokens than any run has."""


@dataclass(frozen=True)
class Padding:
    """Of rows of tokens, each as long as its text."""

    fills: Mapping[str, int]
    """The value that lengthens each input."""
    on_left: bool = False
    token_outputs: frozenset[str] = frozenset()
    """Outputs that have a number, or several, for each token: their second dimension is the tokens'."""

    def padded(self, name: str, array: Array, width: int) -> Array:
        """Input `name`, with rows of `width` tokens."""
        missing = width - array.shape[1]
        if not missing:
            return array
        sides = (missing, 0) if self.on_left else (0, missing)
        return np.pad(array, ((0, 0), sides), constant_values=self.fills[name])

    def joined(self, name: str, arrays: Sequence[Array]) -> Array:
        """Input `name` of several requests: their rows one below the other, each as long as the longest."""
        width = max([array.shape[1] for array in arrays])
        shape = (sum([len(array) for array in arrays]), width)
        # One array that is written into takes a fraction of the time of `np.pad` for each of them.
        whole = np.full(shape, self.fills[name], arrays[0].dtype)
        begin = 0
        for array in arrays:
            end, own = begin + len(array), array.shape[1]
            left = width - own if self.on_left else 0
            whole[begin:end, left : left + own] = array
            begin = end
        return whole

    def trimmed(self, name: str, array: Array, width: int) -> Array:
        """Output `name`, without what padding has added to rows of `width` tokens."""
        if name not in self.token_outputs:
            return array
        return array[:, -width:] if self.on_left else array[:, :width]


def width_of(arrays: Mapping[str, Array]) -> int:
    """Tokens in each row."""
    return int(next(iter(arrays.values())).shape[1])


def bucket(width: int) -> int:
    """Texts up to this length share runs: at least half of what is computed for the longest is no padding."""
    return max(SHORTEST_BUCKET, 1 << (width - 1).bit_length())
