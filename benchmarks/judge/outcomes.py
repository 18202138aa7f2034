"""The rules that are compared, and what one did in one run. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    """As it is called in reports. `STRICT` is the product's judge where no difference is tolerated.

    `DIRECT` is one whose increments last for a second, as where routers are asked and not Prometheus.
    """

    ARGO = "Argo-style"
    FLAGGER = "Flagger-style"
    KAYENTA = "Kayenta"
    ORACLE_60 = "oracle, 60 s"
    ORACLE_BEST = "oracle, best window"
    TIDEGATE_STRICT = "ours, strict"
    TIDEGATE_STRICT_DIRECT = "ours, strict, each second"
    ORACLE_TOLERANCE = "oracle at the tolerance"
    TIDEGATE = "ours"
    TIDEGATE_DIRECT = "ours, each second"


@dataclass(frozen=True)
class Outcome:
    """Seconds from the candidate's first request to its rollback and to its promotion; None where there was none."""

    rolled_back: float | None = None
    promoted: float | None = None
