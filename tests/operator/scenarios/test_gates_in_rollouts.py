"""Whole rollouts with gates of the user's: asked, remembered over restarts, and never in the way of a rollback."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from tests.operator.world import SETTINGS, Behaviour, World
from tidegate.controller.checkpoints import Checkpoints
from tidegate.controller.judging import RolloutJudge
from tidegate.controller.reconciler import Reconciler
from tidegate.gates.gatekeeper import Gatekeeper
from tidegate.gates.review import Question
from tidegate.metrics.collector import MetricsCollector
from tidegate.model.gate import GateAnswer
from tidegate.notifiers.outbox import Outbox
from tidegate.webhooks.caller import Caller
from tidegate.webhooks.client import HttpResponse
from tidegate.webhooks.dispatcher import Attempt, Dispatcher

YES = GateAnswer(True, "all clear")
CANARY = {"canary": {"steps": [{"weight": 50}]}}


class Desk(Dispatcher):
    """Calls wait here until the test lets them go."""

    def submit(self, target: str, attempt: Attempt, after: float = 0.0) -> bool:
        self._calls.append(attempt)
        return True

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[Attempt] = []

    def let_go(self) -> None:
        calls, self._calls = self._calls, []
        for attempt in calls:
            attempt()


class NoSecrets:
    def get(self, *_: Any) -> None:
        return None


class GatedWorld(World):
    """A World whose gates say what `says` has; a gate without an answer there hangs."""

    def __init__(self, schema: Mapping[str, Any], models: Mapping[str, Behaviour]) -> None:
        self.says: dict[str, GateAnswer] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.told: list[str] = []
        super().__init__(schema, models)

    def restart(self) -> None:
        self.desk = Desk()
        self._reconciler = Reconciler(
            self,
            RolloutJudge(MetricsCollector(self, kept=Checkpoints(self).kept)),
            SETTINGS,
            lambda *_: None,
            gatekeeper=Gatekeeper(self.desk, self, lambda *_: None),
            outbox=Outbox(self.desk, Caller(self, NoSecrets(), lambda: 0.0), lambda *_: None),
        )

    def known_by(self, namespace: str, question: Question) -> str:
        return question.gate.name

    def ask(self, namespace: str, call_id: str, question: Question, tries: int) -> GateAnswer | float:
        self.asked.append((question.gate.name, question.id, call_id))
        return self.says[question.gate.name]

    def withdraw(self, namespace: str, call_id: str, question: Question) -> None:
        """There is nothing to take back."""

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, seconds: float, authority: str | None = None
    ) -> HttpResponse:
        self.told.append(orjson.loads(body)["data"]["happening"])
        return HttpResponse(200, "text/plain", b"ok")

    def run_with_answers(self, seconds: int) -> None:
        for _ in range(seconds):
            self.run(1)
            self.desk.let_go()


def world_with(
    spec_schema: Mapping[str, Any], candidate: Behaviour, *gates: Mapping[str, Any], **fields: Any
) -> GatedWorld:
    """Stable is live, and the candidate asked for."""
    world = GatedWorld(spec_schema, {"http://models/1": Behaviour(), "http://models/2": candidate})
    spec = {"strategy": CANARY, "gates": list(gates), "replicas": 2, **fields}
    world.kubectl_apply(model={"uri": "http://models/1"}, **spec)
    world.run(30)
    world.kubectl_apply(model={"uri": "http://models/2"}, **spec)
    return world


def gate(name: str, at: str) -> dict[str, Any]:
    return {"name": name, "at": at, "url": "https://ci.example.com/"}


@pytest.fixture
def gated(spec_schema: Mapping[str, Any]) -> GatedWorld:
    return world_with(spec_schema, Behaviour(), gate("start", "Start"), gate("last", "Promotion"))


def test_a_rollout_asks_each_gate_once_and_goes_through(gated: GatedWorld) -> None:
    gated.says = {"start": YES, "last": YES}
    gated.run_with_answers(400)

    assert gated.status["history"][0]["outcome"] == "Promoted"
    assert [(name, question) for name, question, _ in gated.asked] == [("start", "start/1/1"), ("last", "last/2/1")]
    assert gated.lost == 0


def test_without_an_answer_there_is_no_traffic_and_it_says_so(gated: GatedWorld) -> None:
    gated.run(120)

    assert gated.status["traffic"]["candidate"] == 0
    assert "the gate start" in gated.status["message"]
    assert gated.condition("Reconciling") == ("True", "GateAsked")


def test_a_restart_asks_what_was_asked_again_and_what_was_answered_not(gated: GatedWorld) -> None:
    gated.says = {"start": YES}
    gated.run(30)
    gated.restart()
    gated.run_with_answers(20)
    gated.restart()
    gated.run(200)
    asked_before = list(gated.asked)
    gated.says["last"] = YES
    gated.desk.let_go()
    gated.run_with_answers(200)

    assert [name for name, _, _ in asked_before] == ["start"]
    assert [name for name, _, _ in gated.asked] == ["start", "last"]
    assert gated.status["history"][0]["outcome"] == "Promoted"


def test_a_failing_candidate_goes_back_while_a_gate_hangs(spec_schema: Mapping[str, Any]) -> None:
    world = world_with(spec_schema, Behaviour(error_rate=0.5), gate("next", "Promotion"))
    world.run(120)

    assert world.status["history"][0]["outcome"] == "RolledBack"
    assert world.status["history"][0]["reason"] in ("ErrorRateWorse", "ErrorRateAboveCeiling")


def test_a_restart_tells_what_was_not_told_yet(spec_schema: Mapping[str, Any]) -> None:
    world = world_with(spec_schema, Behaviour(error_rate=0.5), notifications=[{"name": "ops", "url": "https://a/"}])
    world.run(60)
    world.restart()
    world.run(5)
    waiting = [notice["happening"] for notice in world.status["notices"]]
    world.run_with_answers(5)

    assert waiting == ["RolledBack"]
    assert world.told == ["RolledBack"]
    assert "notices" not in world.status


NEVER_STARTS = Behaviour(starts_after=None)
OPS = [{"name": "ops", "url": "https://a/"}]


def test_a_first_revision_that_does_not_start_is_told(spec_schema: Mapping[str, Any]) -> None:
    world = GatedWorld(spec_schema, {"http://models/1": NEVER_STARTS})
    world.kubectl_apply(model={"uri": "http://models/1"}, progressDeadline="1m", notifications=OPS)
    world.run_with_answers(120)

    assert world.condition("Stalled")[0] == "True"
    assert world.told == ["Held"]
    assert "notices" not in world.status


@pytest.mark.parametrize("restarted", [False, True], ids=["the operator read the spec before", "it was restarted"])
def test_a_spec_that_makes_no_sense_is_told(spec_schema: Mapping[str, Any], restarted: bool) -> None:
    world = GatedWorld(spec_schema, {"http://models/1": Behaviour()})
    world.kubectl_apply(model={"uri": "http://models/1"}, notifications=OPS)
    world.run(30)
    if restarted:
        world.restart()
    # As an older CRD would let it through.
    world.kubectl_apply(model={"uri": "http://models/1"}, notifications=OPS, progressDeadline="soon")
    world.run_with_answers(20)

    assert world.condition("Stalled") == ("True", "InvalidSpec")
    assert world.told == ["Held"]
    assert "notices" not in world.status


def test_a_gate_that_hangs_is_no_obstacle_to_going_back_by_the_spec(gated: GatedWorld) -> None:
    gated.run(60)
    gated.kubectl_apply(model={"uri": "http://models/1"}, strategy=CANARY, replicas=2, gates=[gate("start", "Start")])
    gated.run(5)

    assert gated.status["history"][0]["outcome"] == "Aborted"
    assert gated.status["message"].endswith("serves with 2 pods")
