"""What a rule did in one run. Pure."""

from dataclasses import dataclass

TIDEGATE, TIDEGATE_STRICT = "ours", "ours, strict"
ARGO, FLAGGER, KAYENTA = "Argo-style", "Flagger-style", "Kayenta"
ORACLE_60, ORACLE_BEST, ORACLE_TOLERANCE = "oracle, 60 s", "oracle, best window", "oracle at the tolerance"


@dataclass(frozen=True)
class Outcome:
    """Seconds from the candidate's first request to its rollback and to its promotion; None where there was none."""

    rolled_back: float | None = None
    promoted: float | None = None
