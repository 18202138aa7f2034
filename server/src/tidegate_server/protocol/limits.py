"""How much one request may hold, beside the bound on its bytes. Pure."""

from dataclasses import dataclass
from typing import Literal, get_args

NotFinite = Literal["Auto", "null", "string", "refuse"]
"""What an answer in JSON has in place of NaN and infinity, which JSON can't carry.

`null`; or the `string` "NaN", "Infinity" or "-Infinity"; or none, for the request is refused. `Auto` is `null`, but
refuses an output that is NaN throughout: that is a broken model, and whoever judges it has to see a failure.
"""

NOT_FINITE: tuple[NotFinite, ...] = get_args(NotFinite)


@dataclass(frozen=True)
class Limits:
    """Of one request."""

    max_elements: int = 2**24
    """Of all tensors of a request together."""
    max_depth: int = 32
    """Dimensions of a tensor, and so lists in lists. numpy ends at 64; no model known to us comes near either."""
    allow_nan: bool = False
    """Whether null and NaN among the numbers of a floating-point input in JSON stand for NaN, a missing value."""
    not_finite: NotFinite = "Auto"
