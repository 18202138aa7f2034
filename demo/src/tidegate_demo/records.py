"""What became of each request, and what to call it. Pure.

A request is *lost* when the machinery failed it. An error that a model itself raised, or a digit that it honestly
mistakes for another, is the model's doing and is counted apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

SERVED_BY_HEADER = "x-tidegate-served-by"
NO_ANSWER = 0


class Outcome(StrEnum):
    OK = "ok"
    WRONG = "wrong"
    MODEL_ERROR = "model error"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as the load saw it.

    `scheduled` is Unix time in seconds; `sent_after` and `answered_after` are seconds after that. `status` is 0 when no
    answer came; `fault` then says why in a word. `revision` is empty when the answer named none.
    """

    scheduled: float
    image: int
    sent_after: float
    answered_after: float
    status: int
    revision: str = ""
    label: int | None = None
    fault: str = ""

    @property
    def answered(self) -> float:
        return self.scheduled + self.answered_after


def to_line(request: Request) -> str:
    """One line of JSON, without its newline. `from_line` reads it back."""
    return json.dumps(
        [
            round(request.scheduled, 6),
            request.image,
            round(request.sent_after, 6),
            round(request.answered_after, 6),
            request.status,
            request.revision,
            request.label,
            request.fault,
        ]
    )


def from_line(line: str | bytes) -> Request:
    return Request(*json.loads(line))


def read_label(body: bytes) -> int | None:
    """The digit in an answer to one image, or None when there is none to be read."""
    try:
        return int(json.loads(body)["outputs"]["label"][0])
    except (ValueError, KeyError, TypeError, IndexError):
        return None


Answers = Mapping[str, Sequence[int | None]]
"""For each revision: the digit that its model gives for each held-out image."""


def outcome(request: Request, answers: Answers) -> Outcome:
    """What became of the request. `wrong` is an answer that the serving model doesn't give for this image."""
    if request.status == 200:
        return Outcome.OK if _could_say(request, answers) else Outcome.WRONG
    if request.status == 500 and request.revision:
        return Outcome.MODEL_ERROR
    return Outcome.LOST


def _could_say(request: Request, answers: Answers) -> bool:
    if request.label is None:
        return False
    known = answers.get(request.revision)
    if known is not None:
        return known[request.image] == request.label
    # A revision that was never seen in a status: any of the models could have answered.
    return any(model[request.image] == request.label for model in answers.values()) if answers else True


@dataclass(frozen=True)
class Tally:
    """Counts over some requests, and their latency in seconds (None without an answer to take it from)."""

    sent: int = 0
    ok: int = 0
    wrong: int = 0
    model_errors: int = 0
    lost: int = 0
    right_digits: int = 0
    p50: float | None = None
    p99: float | None = None
    lost_because: Mapping[str, int] = field(default_factory=dict)

    @property
    def accuracy(self) -> float | None:
        """Of the answered: the share whose digit is the true one."""
        answered = self.ok + self.wrong
        return self.right_digits / answered if answered else None


def tally(requests: Iterable[Request], answers: Answers, truth: Sequence[int]) -> Tally:
    requests = list(requests)
    outcomes = [outcome(request, answers) for request in requests]
    lost = [request for request, became in zip(requests, outcomes, strict=True) if became is Outcome.LOST]
    took = sorted(request.answered_after for request in requests if request.status)
    return Tally(
        sent=len(requests),
        ok=outcomes.count(Outcome.OK),
        wrong=outcomes.count(Outcome.WRONG),
        model_errors=outcomes.count(Outcome.MODEL_ERROR),
        lost=len(lost),
        right_digits=sum(request.status == 200 and request.label == truth[request.image] for request in requests),
        p50=quantile(took, 0.5),
        p99=quantile(took, 0.99),
        lost_because=_count(lost, lambda request: request.fault or f"status {request.status}"),
    )


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The nearest-rank quantile of ascending numbers."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def shares(requests: Iterable[Request]) -> dict[str, float]:
    """Share of the answers per revision, 0..1."""
    counted = _count((request for request in requests if request.revision), lambda request: request.revision)
    total = sum(counted.values())
    return {revision: count / total for revision, count in counted.items()}


def _count(requests: Iterable[Request], key: Callable[[Request], str]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for request in requests:
        counted[key(request)] = counted.get(key(request), 0) + 1
    return counted


@dataclass(frozen=True)
class Exposure:
    """What a bad revision did to users. Seconds are None when it answered nothing bad."""

    requests: int
    bad: int
    first_to_last_bad: float | None
    first_bad_to_zero_traffic: float | None


def exposure(requests: Iterable[Request], revision: str) -> Exposure:
    """How long users met the revision: from first bad answer to the last one, and to the last answer of any kind."""
    served = [request for request in requests if request.revision == revision]
    bad = [request.answered for request in served if request.status != 200]
    if not bad:
        return Exposure(len(served), 0, None, None)
    first = min(bad)
    return Exposure(
        requests=len(served),
        bad=len(bad),
        first_to_last_bad=max(bad) - first,
        first_bad_to_zero_traffic=max(request.answered for request in served) - first,
    )
