"""What every source hands out: bytes in pieces, and how many there should be."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Stream:
    """`read(n)` gives up to n bytes, b"" at the end; it raises OSError. `size` is None where the source doesn't say."""

    read: Callable[[int], bytes]
    size: int | None
