"""How much one request may hold, beside the bound on its bytes. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Of one request."""

    max_elements: int = 2**24
    """Of all tensors of a request together."""
    max_depth: int = 32
    """Dimensions of a tensor, and so lists in lists. numpy ends at 64; no model known to us comes near either."""
    allow_nan: bool = False
    """Whether a JSON null among the numbers of a floating-point input stands for NaN, a missing value."""
