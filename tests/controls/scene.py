"""A rollout brought into the phase in which somebody asks for something, again and again under one load."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.controls.timing import ask
from tests.e2e.stage import ANALYSIS, Stage
from tidegate.model.control import Control

SOON_CONTENT = {
    **ANALYSIS,
    "latency": {"quantiles": [50], "tolerate": "200%", "accept": "400%"},
    "errorRate": {"accept": {"ratio": "5", "absolute": "10%"}},
}
"""What is looked at comes after the evidence."""
NO_SUCH_IMAGE = {"image": "localhost/never-there:1"}
ANSWER_SECONDS = 15.0
Status = Mapping[str, Any]


@dataclass(frozen=True)
class Phase:
    """`spec` is what the candidate is released with; `is_reached` looks at the status."""

    name: str
    spec: Mapping[str, Any]
    is_reached: Callable[[Status], bool]
    then: Callable[["Scene"], None] | None = None
    """What brings it there, once its rollout has begun."""


@dataclass(frozen=True)
class Cell:
    """What came of one control in one phase."""

    strategy: str
    phase: str
    control: str
    reason: str
    sentence: str


@dataclass
class Scene:
    """`strategy` is Canary or BlueGreen; `versions` are two good models, of which the first is stable."""

    stage: Stage
    strategy: str
    versions: list[str] = field(default_factory=lambda: ["v2", "v5"])
    spec: Mapping[str, Any] = field(default_factory=dict)

    def reach(self, phase: Phase) -> Status:
        """Back to stable alone, then forward into the phase."""
        self.calm(phase.spec)
        if phase.name != LIVE:
            self.apply(self.versions[1], phase.spec)
            self.stage.until("a rollout begins", lambda s: "rollout" in s)
            if phase.then:
                phase.then(self)
        return self.stage.until(f"it is {phase.name}", phase.is_reached)

    def calm(self, spec: Mapping[str, Any]) -> None:
        """No rollout, and stable's version asked for; whatever was promoted in the meantime is stable."""
        stable = self.stage.versions[self.stage.note()["stable"]["revision"]]
        if stable != self.versions[0]:
            self.versions.reverse()
        self.apply(stable, {name: value for name, value in spec.items() if name not in ("server", "paused")})
        self.stage.until(
            "it is calm", lambda s: s.get("phase") == "Live" and not s.get("rollout") and not s.get("rejected")
        )
        self.stage.settled()

    def apply(self, version: str, spec: Mapping[str, Any]) -> None:
        """kubectl apply of a version."""
        self.spec = spec
        # What somebody patched in between, such as a pause, kubectl apply leaves as it is unless it is stated.
        self.stage.apply(version, **{"paused": False, **spec})

    def ask(self, control: Control, phase: str, step: int | None = None) -> Cell:
        """Annotates, waits until it has been answered, and gives the answer."""
        status = self.stage.note()
        stable, candidate = status["stable"]["revision"], (status.get("candidate") or {}).get("revision")
        ended = (status.get("rejected") or {}).get("revision")
        revision = stable if control is Control.RESTART else candidate or ended or stable
        at_step = step if step is not None else (status.get("rollout") or {}).get("step", 1)
        before = self._events()
        ask(self.stage, control, revision, at_step)
        deadline = time.monotonic() + ANSWER_SECONDS
        while not (fresh := self._answers(before)) or self._is_there(control):
            assert time.monotonic() < deadline, f"no answer to {control} in {phase}"
            time.sleep(0.2)
        reason, sentence = fresh[0]
        return Cell(self.strategy, phase, control.value, reason, sentence)

    def _is_there(self, control: Control) -> bool:
        return control.annotation in self.stage.read()["metadata"].get("annotations", {})

    def _answers(self, before: Mapping[tuple[str, str], int]) -> list[tuple[str, str]]:
        """Reason and sentence of each Event of an answer that is new, or was repeated."""
        return [
            (reason, sentence)
            for (reason, sentence), count in self._events().items()
            if reason in ANSWERS and count > before.get((reason, sentence), 0)
        ]

    def _events(self) -> dict[tuple[str, str], int]:
        about = "involvedObject.kind=ModelDeployment"
        items = json.loads(self.stage.run("get", "events", "--field-selector", about, "--output", "json"))["items"]
        found: dict[tuple[str, str], int] = {}
        for item in items:
            key = (item["reason"], item["message"])
            found[key] = found.get(key, 0) + int(item.get("count") or 1)
        return found


REFUSED, ABORTED, APPROVED, SKIPPED = "ControlRefused", "Aborted", "Approved", "Skipped"
RETRIED, RESTARTING, PROMOTED = "Retried", "Restarting", "PromotedByHand"
ANSWERS = {REFUSED, ABORTED, APPROVED, SKIPPED, RETRIED, RESTARTING, PROMOTED}
LIVE = "live"
