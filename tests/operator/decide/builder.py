"""An Observation from which a test changes only what it is about.

`a_canary()` is a healthy canary at its first step, 10 % for a minute, whose evidence suffices for the next step; pods
are there for every weight, the route and the observed share are as granted, and nothing is paused.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tidegate.model.evidence import Answer, Verdict
from tidegate.model.observation import Observation
from tidegate.model.reasons import Reason
from tidegate.model.revision import PodFailure, RevisionState, Snapshot
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.status import Rollout, Shift, Since, Status
from tidegate.model.traffic import RouteState, Share, TrafficSplit
from tidegate.resources.crd_schema import with_defaults

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
STABLE, CANDIDATE = "digits-5ab1e000", "digits-ca4d1da7"
ACCEPTABLE = Verdict(Answer.ACCEPTABLE, Reason.NO_WORSE, "as good as stable")
TOO_LITTLE = Verdict(Answer.NOT_ENOUGH, Reason.MORE_REQUESTS_NEEDED, "too few requests")
UNSEEN = Verdict(Answer.CANNOT_SEE, Reason.METRICS_UNAVAILABLE, "Prometheus is away")
WORSE = Verdict(Answer.WORSE, Reason.ERROR_RATE_WORSE, "20% fail")
CANARY = {"canary": {"steps": [{"weight": 10}, {"weight": 50}]}}
BLUE_GREEN = {"blueGreen": {"verifyFor": "30s", "keepOld": "5m"}}
PODS = 4
READY = RevisionState("", number=1, snapshot=Snapshot.parse(
    {"model": {"uri": "http://models/1", "sha256": None}, "server": {"image": None, "resources": {}, "env": []},
     "image": "server:1"}
), replicas=PODS, ready=PODS, pinned="ab")  # fmt: skip


@cache
def _schema() -> Mapping[str, Any]:
    crd = yaml.safe_load((Path(__file__).parents[3] / "crds" / "modeldeployments.yaml").read_text())
    schema: Mapping[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


def a_spec(**fields: Any) -> ModelDeploymentSpec:
    """A spec of four pods; what isn't named has the CRD's default."""
    given = {"replicas": PODS, "model": {"uri": "http://models/1.onnx"}, **fields}
    return ModelDeploymentSpec.parse(with_defaults(_schema(), given))


def a_share(weight: int, *, requests: int = 1000, since: datetime = NOW - MINUTE / 2) -> Share:
    """What routers that split as they were told have sent."""
    to_candidate = requests * weight // 100
    return Share(since, NOW, {STABLE: requests - to_candidate, CANDIDATE: to_candidate}, {})


def an_observation(*, step: int | None, strategy: Mapping[str, Any], **changes: Any) -> Observation:
    """`step` None: no rollout. `spec_…` fields change the spec; `ready` is the candidate's; the rest is replaced."""
    spec_fields = {name.removeprefix("spec_"): changes.pop(name) for name in [*changes] if name.startswith("spec_")}
    ready, stable_ready = changes.pop("ready", PODS), changes.pop("stable_ready", PODS)
    failure: PodFailure | None = changes.pop("failure", None)
    spec = a_spec(strategy=strategy, **spec_fields)
    weight = spec.strategy.weight_at(step or 0)
    began = changes.pop("step_started_at", NOW - MINUTE)
    shifts = tuple(Shift(began, spec.strategy.weight_at(n)) for n in range(1, (step or 0) + 1) if n)
    shifts = tuple(shift for shift in shifts if shift.weight)
    since = changes.pop("since", Since(steady=began if weight == 100 else None))
    rollout = None
    if step is not None:
        rollout = Rollout(CANDIDATE, NOW - 5 * MINUTE, step, began, changes.pop("shifts", shifts), since=since)
    split = TrafficSplit.only(STABLE) if step is None else TrafficSplit.between(STABLE, CANDIDATE, weight)
    seen = Observation(
        now=NOW,
        namespace="shop",
        name="digits",
        generation=1,
        spec=spec,
        desired=CANDIDATE,
        plan="plan",
        recorded=Status(stable=STABLE, rollout=rollout, shifted_at=NOW - MINUTE),
        revisions={
            STABLE: replace(READY, name=STABLE, ready=stable_ready),
            CANDIDATE: replace(READY, name=CANDIDATE, number=2, ready=ready, failure=failure),
        },
        route=RouteState(changes.pop("split", split), spec.route_settings, frozenset({"router"})),
        route_settings_match=True,
        share=a_share(weight),
        verdict=ACCEPTABLE,
        propagation_delay=timedelta(seconds=15),
    )
    return replace(seen, **changes)


def a_canary(step: int | None = 1, **changes: Any) -> Observation:
    """A canary through 10 and 50 %."""
    return an_observation(step=step, strategy=CANARY, **changes)


def a_blue_green(step: int | None = 1, **changes: Any) -> Observation:
    """Step 0 brings pods up, 1 verifies them, 2 has all the traffic."""
    return an_observation(step=step, strategy=BLUE_GREEN, **changes)


def rollout_of(seen: Observation) -> Rollout:
    """The rollout that is under way."""
    assert seen.recorded.rollout is not None
    return seen.recorded.rollout
