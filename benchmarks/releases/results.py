"""What the clients met, told from their own records. Pure, but for keeping it.

A request is lost when no model is to blame: it got no answer, another model's answer, or an error where its model has
an answer.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, assert_never

from benchmarks.releases.scenarios import PROMOTED, Kind, Scenario
from tidegate_demo.records import Answers, Outcome, Request, exposure, outcome


@dataclass(frozen=True)
class Ending:
    """How a rollout ended by its status. Without an outcome it didn't, and the message says what was seen instead.

    `began` is when the release was applied, `ended` when its end was seen; Unix seconds.
    """

    revision: str
    outcome: str
    reason: str
    message: str
    began: float
    ended: float


@dataclass(frozen=True)
class Release:
    """One release. Seconds are None where there was nothing to take them from.

    `seconds` is from apply to the rollout's end, `observed` from the candidate's first answer. `requests` and `bad` are
    answers of the candidate while it was one; `sent` and `lost` tell of all requests up to the next release.
    """

    number: int
    outcome: str
    reason: str
    message: str
    seconds: float
    observed: float | None
    requests: int
    bad: int
    first_to_last_bad: float | None
    first_bad_to_zero_traffic: float | None
    first_to_last_answer: float | None
    slower_by: float | None
    sent: int
    lost: int


@dataclass(frozen=True)
class Measured:
    """One scenario. `sent` and `lost_because` count every request, also those before the first release.

    `trouble` is why it ended early; then some releases are missing.
    """

    scenario: Scenario
    releases: tuple[Release, ...]
    sent: int
    lost_because: Mapping[str, int]
    trouble: str = ""

    @property
    def lost(self) -> int:
        """Requests that the machinery owes an answer."""
        return sum(self.lost_because.values())


def merged(parts: Iterable[Measured]) -> tuple[Measured, ...]:
    """The parts of each scenario as one, its releases counted through; in the order in which the scenarios began."""
    found: dict[Scenario, Measured] = {}
    for part in parts:
        scenario = replace(part.scenario, releases=0, part=0)
        found[scenario] = _joined(found[scenario], part) if scenario in found else _first(part)
    return tuple(found.values())


def _first(part: Measured) -> Measured:
    return replace(part, scenario=replace(part.scenario, part=0))


def save_results(path: Path, found: Sequence[Measured]) -> None:
    """For `load_results`."""
    path.write_text(json.dumps([asdict(measured) for measured in found]))


def load_results(path: Path) -> list[Measured]:
    """What was saved; nothing where nothing was, or by another version of this."""
    try:
        return [_read(each) for each in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _read(document: Mapping[str, Any]) -> Measured:
    given = document["scenario"]
    lists = {"kind": Kind(given["kind"]), "weights": tuple(given["weights"]), "candidates": tuple(given["candidates"])}
    releases = tuple(Release(**release) for release in document["releases"])
    return Measured(**{**document, "scenario": Scenario(**{**given, **lists}), "releases": releases})


def _joined(one: Measured, other: Measured) -> Measured:
    releases = enumerate((*one.releases, *other.releases), start=1)
    return Measured(
        replace(one.scenario, releases=one.scenario.releases + other.scenario.releases),
        tuple(replace(release, number=number) for number, release in releases),
        one.sent + other.sent,
        dict(Counter(one.lost_because) + Counter(other.lost_because)),
        "; ".join(filter(None, (one.trouble, other.trouble))),
    )


def measured(
    scenario: Scenario, endings: Sequence[Ending], requests: Sequence[Request], answers: Answers, trouble: str = ""
) -> Measured:
    """`answers` are each revision's, for each image that was sent."""
    begins = [ending.began for ending in endings]
    untils = [*begins[1:], float("inf")]
    releases = tuple(
        release_of(number, ending, _scheduled(requests, ending.began, until), answers)
        for number, (ending, until) in enumerate(zip(endings, untils, strict=False), start=1)
    )
    return Measured(scenario, releases, len(requests), dict(losses(requests, answers)), trouble)


def release_of(number: int, ending: Ending, requests: Sequence[Request], answers: Answers) -> Release:
    """`requests` are all from its beginning up to the next release's."""
    served = _by_the_candidate(ending, requests)
    met = exposure(served, ending.revision)
    answered = [request.answered for request in served]
    return Release(
        number=number,
        outcome=ending.outcome,
        reason=ending.reason,
        message=ending.message,
        seconds=ending.ended - ending.began,
        observed=ending.ended - min(answered) if answered else None,
        requests=met.requests,
        bad=met.bad,
        first_to_last_bad=met.first_to_last_bad,
        first_bad_to_zero_traffic=met.first_bad_to_zero_traffic,
        first_to_last_answer=max(answered) - min(answered) if answered else None,
        slower_by=_slower_by(served, requests),
        sent=len(requests),
        lost=losses(requests, answers).total(),
    )


def losses(requests: Iterable[Request], answers: Answers) -> Counter[str]:
    """How many requests the machinery owes an answer, by cause."""
    return Counter(cause for request in requests if (cause := loss(request, answers)) is not None)


def loss(request: Request, answers: Answers) -> str | None:
    """Why the machinery owes the answer; None where it doesn't."""
    became = outcome(request, answers)
    match became:
        case Outcome.OK:
            return None
        case Outcome.WRONG:
            return "another model's answer"
        case Outcome.LOST:
            return request.fault or f"status {request.status}"
        case Outcome.MODEL_ERROR:
            known = answers.get(request.revision)
            return None if known is None or known[request.image] is None else "an error where the model has an answer"
        case _ as unhandled:
            assert_never(unhandled)


def _scheduled(requests: Sequence[Request], began: float, until: float) -> list[Request]:
    return [request for request in requests if began <= request.scheduled < until]


def _by_the_candidate(ending: Ending, requests: Sequence[Request]) -> list[Request]:
    """A promoted one goes on answering, but as stable."""
    if not ending.revision:  # a request without an answer names no revision either
        return []
    until = ending.ended if ending.outcome == PROMOTED else float("inf")
    return [request for request in requests if request.revision == ending.revision and request.answered <= until]


def _slower_by(served: Sequence[Request], requests: Sequence[Request]) -> float | None:
    """Median against median of the good answers of others in the same time, in seconds."""
    if not served:
        return None
    first, last = min(request.scheduled for request in served), max(request.scheduled for request in served)
    revision = served[0].revision
    own = [request.answered_after for request in served if request.status == 200]
    others = [
        request.answered_after
        for request in _scheduled(requests, first, last)
        if request.status == 200 and request.revision != revision
    ]
    return median(own) - median(others) if own and others else None
