"""How much a source or an archive may hold, whatever it says about itself."""

from dataclasses import dataclass

MAX_FILES = 1000
MAX_ENTRIES = 10_000
"""Entries of an archive, folders and skipped files among them."""
MAX_RATIO = 200
"""How many times its packed size an archive may have unpacked..."""
RATIO_FROM_BYTES = 64 * 2**20
"""...once it has this many bytes: small files of nothing but zeros are no bombs."""


@dataclass
class ByteBudget:
    """How many bytes may still come."""

    limit: int
    remaining: int

    @classmethod
    def of(cls, limit: int) -> "ByteBudget":
        """An unspent one of `limit` bytes."""
        return cls(limit, limit)
