"""One disturbance: a good model, a bad release of it, and what the users met; the line that tells it."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.e2e.stage import Stage
from tidegate_demo.kubectl import KubectlError
from tidegate_demo.load import RunningLoad
from tidegate_demo.records import NO_ANSWER, Outcome, Request, exposure

WARM_UP_SECONDS = 10.0
GOOD, OTHER_GOOD, BAD = "v2", "v5", "v3"
"""The demo's models: the bad one fails on a fifth of the images."""


@dataclass(frozen=True)
class Row:
    """What came of one disturbance. `seconds` is from the first bad answer to the last, None without any.

    Of the requests that the machinery lost, `unready` were turned away for want of a ready pod (503), `unconnected` got
    no answer at all, and `otherwise` anything else.
    """

    disturbance: str
    outcome: str
    reason: str
    seconds: float | None
    sent: int
    bad: int
    unready: int
    unconnected: int
    otherwise: int
    notes: str
    ended: str

    @property
    def as_it_should(self) -> bool:
        """Whether the release went back, and no request was lost."""
        return self.outcome == "RolledBack" and self.unready == self.unconnected == self.otherwise == 0

    def line(self) -> str:
        """For whoever waits."""
        took = (
            "no bad answer" if self.seconds is None else f"{self.seconds:.1f} s from the first bad answer to the last"
        )
        lost = (
            f"{self.unready} without a ready pod, {self.unconnected} without a connection, {self.otherwise} otherwise"
        )
        notes = f" ({self.notes})" if self.notes else ""
        return (
            f"{self.disturbance}: {took}; {self.sent:,} requests, {self.bad} bad, lost: {lost}; "
            f"{self.outcome}, {self.reason}{notes}"
        )


def write(row: Row, folder: Path) -> None:
    """For the page, under the disturbance's name."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{row.disturbance.replace(' ', '-')}.json").write_text(json.dumps(asdict(row), indent=1))


@dataclass
class Trial:
    """A stage with one disturbance. `notes` are told beside what was counted."""

    disturbance: str
    stage: Stage
    notes: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    bad: str = ""
    """The bad revision."""

    def go_live(self, **spec: Any) -> None:
        """The good model."""
        self.stage.go_live(GOOD, **spec)

    @contextmanager
    def loaded(self) -> Iterator[RunningLoad]:
        """100 requests a second while inside, and for a while before, so that stable's ways are known."""
        with self.stage.loaded() as load:
            self.requests = load.requests
            time.sleep(WARM_UP_SECONDS)
            yield load

    def release_bad(self, **spec: Any) -> None:
        """The bad model; returns when it has traffic, or has had some: it may be gone before anybody looks."""
        ended = len(self.stage.note().get("history", ()))
        self.stage.apply(BAD, **spec)
        status = self.stage.until(
            "the bad model has traffic",
            lambda s: s.get("traffic", {}).get("candidate", 0) > 0 or len(s.get("history", ())) > ended,
            seconds=120,
        )
        self.bad = (status.get("candidate") or status["history"][0])["revision"]

    def until_rolled_back(self, *, seconds: float = 120, rollouts: int = 1) -> dict[str, Any]:
        """Waits for the end, and that only stable's pods are left."""
        status = self.stage.until_ended("RolledBack", seconds=seconds, rollouts=rollouts)
        self.stage.settled()
        return status

    def stays(self, seconds: float, holds: Callable[[Mapping[str, Any]], bool]) -> None:
        """Looks for a while whether the status remains so."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            assert holds(status := self.stage.note()), status
            time.sleep(0.5)

    def row(self) -> Row:
        """What has been seen by now."""
        lost = self._lost()
        met = exposure(self.requests, self.bad)
        outcome, reason = self._ending()
        return Row(
            self.disturbance,
            outcome,
            reason,
            met.first_to_last_bad,
            len(self.requests),
            met.bad,
            lost["unready"],
            lost["unconnected"],
            lost["otherwise"],
            "; ".join(self.notes),
            datetime.now(UTC).isoformat(timespec="minutes"),  # noqa: TID251 - told to people
        )

    def nothing_lost(self) -> None:
        """Asserts that every request was answered by a model, and as that model answers."""
        assert len(self.requests) > 1000
        assert self._lost() == Counter()

    def counted_truly(self, status: Mapping[str, Any]) -> None:
        """Asserts that the judge counted no request of the bad model that wasn't sent."""
        counted = status["history"][0]["exposure"]["requests"]
        sent = exposure(self.requests, self.bad).requests
        self.notes.append(f"the judge counted {counted} of the bad model's {sent} requests")
        assert 0 < counted <= sent

    def _lost(self) -> Counter[str]:
        outcomes = self.stage.outcomes(self.requests)
        return Counter(map(_kind_of_loss, [*outcomes[Outcome.LOST], *outcomes[Outcome.WRONG]]))

    def _ending(self) -> tuple[str, str]:
        try:
            status = self.stage.read().get("status", {})
        except KubectlError:
            return "never applied", "no reason"
        if history := status.get("history"):
            return history[0]["outcome"], history[0]["reason"]
        reconciling = [
            c["reason"] for c in status.get("conditions", ()) if c["status"] == "True" and c["type"] != "Ready"
        ]
        return status.get("phase", "nothing said"), " and ".join(reconciling) or "no reason"


def _kind_of_loss(request: Request) -> str:
    if request.status == NO_ANSWER:
        return "unconnected"
    return "unready" if request.status == 503 else "otherwise"  # the bad model's own errors are 500
