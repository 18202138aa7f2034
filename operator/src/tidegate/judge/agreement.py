"""Whether a candidate answers the same requests otherwise than stable does, beyond stable's own noise. Pure.

Each request of a sample is answered by stable, by stable once more, and by the candidate. Where the candidate's answer
differs from stable's first and stable's second doesn't, that is one against the candidate; the other way round, one for
it. All other requests tell nothing: McNemar's test goes by these discordant ones alone. Made sequential, with a margin:
for X = +1, -1 or 0 and a tolerance δ, Π (1 + λ·(X - δ)) is a test martingale of "E[X] ≤ δ" for every λ that keeps it
from falling below 0, and so is an average over some λ (betting on a bounded mean: Waudby-Smith & Ramdas, JRSS B 2024).
By Ville's inequality it ever reaches 1/α with probability at most α, however often one looks.

What it takes: a request is drawn without regard to how it will be answered. Stable's noise may be of any size.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tidegate.judge.e_process import Alternatives, e_value, log_sum, weighted
from tidegate.judge.explain import of_threshold
from tidegate.model.units import format_percent

BETS = weighted((0.95, 3.0), (0.7, 1.5), (0.4, 1.0), (0.15, 0.5), (0.04, 0.5))
"""Parts of the largest λ. Most of the bet is on a stable without noise, whose every difference doubles the evidence."""


@dataclass(frozen=True)
class Pairs:
    """Requests that both models have answered."""

    requests: int = 0
    differed: int = 0
    """On which the candidate's answer was another than stable's."""
    noisy: int = 0
    """On which stable's second answer was another than its first."""
    both: int = 0
    """Of these, those that are counted in both."""

    def __add__(self, other: "Pairs") -> "Pairs":
        return Pairs(
            self.requests + other.requests,
            self.differed + other.differed,
            self.noisy + other.noisy,
            self.both + other.both,
        )

    @classmethod
    def of(cls, *, differed: bool, noisy: bool) -> "Pairs":
        """One request."""
        return cls(1, int(differed), int(noisy), int(differed and noisy))


class Agreement(StrEnum):
    """What the sample shows."""

    DIFFERS = "Differs"
    AGREES = "Agrees"
    UNDECIDED = "Undecided"


@dataclass(frozen=True)
class AgreementRules:
    """The margin, and how often the answer may be wrong."""

    tolerate: float = 0.001
    """δ: the share of requests, beyond stable's noise, that may be answered otherwise. 0 to below 1."""
    accept: float = 0.01
    """The share that has to be ruled out before the two agree. Above `tolerate`, below 1."""
    false_alarm: float = 0.01
    """α: how likely it is ever to call a candidate within `tolerate` different."""
    false_agreement: float = 0.05
    """β: how likely it is ever to call one at or beyond `accept` the same."""

    def __post_init__(self) -> None:
        """Raises ValueError with a sentence on a value that makes no sense."""
        if not 0 <= self.tolerate < self.accept < 1:
            raise ValueError(
                f"tolerate is {format_percent(self.tolerate)} and accept {format_percent(self.accept)}; "
                "tolerate must be below accept, and both from 0% to below 100%"
            )
        if not (0 < self.false_alarm < 1 and 0 < self.false_agreement < 1):
            raise ValueError("the chances of a false alarm and of a false agreement must be between 0% and 100%")


def log_evidence_of_difference(pairs: Pairs, tolerate: float) -> float:
    """Log of the evidence against "it differs on no more than `tolerate` of the requests beyond stable's noise"."""
    return _log_value(pairs, tolerate, BETS, 1 / (1 + tolerate))


def log_evidence_of_agreement(pairs: Pairs, accept: float) -> float:
    """Log of the evidence against "it differs on `accept` of the requests or more"."""
    return _log_value(pairs, accept, BETS, -1 / (1 - accept))


def answer_of(pairs: Pairs, rules: AgreementRules) -> Agreement:
    """What these pairs show; to be asked after each one, and to be stopped at the first answer."""
    if log_evidence_of_difference(pairs, rules.tolerate) >= -math.log(rules.false_alarm):
        return Agreement.DIFFERS
    if log_evidence_of_agreement(pairs, rules.accept) >= -math.log(rules.false_agreement):
        return Agreement.AGREES
    return Agreement.UNDECIDED


def told(pairs: Pairs, rules: AgreementRules) -> str:
    """The numbers in one sentence, for people."""
    against = e_value(log_evidence_of_difference(pairs, rules.tolerate))
    agreeing = e_value(log_evidence_of_agreement(pairs, rules.accept))
    return (
        f"the candidate answers {pairs.differed:,} of {pairs.requests:,} requests otherwise than stable"
        f"{_share(pairs)}, stable itself {pairs.noisy:,} of them; {format_percent(rules.tolerate)} beyond that is "
        f"tolerated, difference evidence {of_threshold(against, 1 / rules.false_alarm)}, agreement evidence "
        f"{of_threshold(agreeing, 1 / rules.false_agreement)}"
    )


def _share(pairs: Pairs) -> str:
    return f" ({format_percent(pairs.differed / pairs.requests)})" if pairs.requests else ""


def _log_value(pairs: Pairs, margin: float, bets: Alternatives, largest: float) -> float:
    """Log of the average over λ of Π (1 + λ·(X - margin)); the order of the requests is none of its business."""
    against, in_favour = pairs.differed - pairs.both, pairs.noisy - pairs.both
    rest = pairs.requests - against - in_favour
    outcomes = ((against, 1 - margin), (in_favour, -1 - margin), (rest, -margin))
    return log_sum(math.log(weight) + _log_product(part * largest, outcomes) for part, weight in bets)


def _log_product(stake: float, outcomes: Sequence[tuple[int, float]]) -> float:
    return sum(count * math.log1p(stake * gain) for count, gain in outcomes if count)
