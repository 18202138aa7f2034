"""Everything that a decision is made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tidegate.model.agreement import agreement_gate
from tidegate.model.control import GivenControl
from tidegate.model.disruption import DisruptionBudgets
from tidegate.model.evidence import Verdict
from tidegate.model.followed import FollowedModel
from tidegate.model.gate import GateAnswer, GateSpec
from tidegate.model.reasons import Reason, StatusMessage
from tidegate.model.revision import RevisionState
from tidegate.model.spec import Model, ModelDeploymentSpec
from tidegate.model.status import Status
from tidegate.model.traffic import RouteState, Share, TrafficSplit


@dataclass(frozen=True)
class Observation:
    """One ModelDeployment and its world at one instant. `now` is in whole seconds, as everything that is recorded."""

    now: datetime
    namespace: str
    name: str
    generation: int
    spec: ModelDeploymentSpec
    desired: str
    """The revision that the spec asks for."""
    plan: str
    """A digest of the strategy and the analysis."""
    recorded: Status
    revisions: Mapping[str, RevisionState]
    route: RouteState
    """Read back from the router's own objects."""
    route_settings_match: bool
    """Whether the route's preview header and timeout are the spec's."""
    share: Share | None
    """None where it wasn't needed or can't be seen."""
    verdict: Verdict
    propagation_delay: timedelta
    """How long after a shift counters may still tell of the time before."""
    restorations: tuple[datetime, ...] = ()
    """When the route was set again, of late, as somebody else had edited it; ascending."""
    clock_jump: timedelta = timedelta()
    """How far the clock was set forward since the last look, or back where it is negative."""
    found_by_clients: bool = True
    """Whether the Services by which clients find the model are as they should be."""
    refusal: StatusMessage | None = None
    """A write that the API server has refused more than once; None where it takes all."""
    budgets: DisruptionBudgets | None = None
    """None where they can't be seen; then none is written or deleted."""
    config_problem: str | None = None
    """What is wrong with a ConfigMap or Secret whose content the revisions that are there have; it stops none."""
    controls: tuple[GivenControl, ...] = ()
    """What people ask for, in the order of `Control`."""
    rollouts: int = 1
    """How many are judged now, everywhere."""
    gate_answers: Mapping[str, GateAnswer] = field(default_factory=dict)
    """What spec.gates have said since the status was recorded, by question."""
    told: frozenset[str] = frozenset()
    """What somebody is to be notified of."""
    delivered: frozenset[str] = frozenset()
    """Ids of the recorded notices that everybody has had."""
    followed: FollowedModel | None = None
    """What the name of the model means from now on, where it is followed; the spec has that in the name's place."""
    reference_caution: StatusMessage | None = None
    """What people should know of that name."""

    @property
    def gates(self) -> tuple[GateSpec, ...]:
        """Whom the rollout asks: the user's, and whether answers agree where stable's pods keep samples of requests."""
        check, stable = self.spec.analysis.agreement, self.state(self.recorded.stable).snapshot
        samples = stable.server.request_samples if stable else None
        return (*self.spec.gates, agreement_gate(check, samples)) if check and samples else self.spec.gates

    @property
    def split(self) -> TrafficSplit | None:
        """How the route splits the requests; None where there is no route yet, or none that can be read."""
        return self.route.split

    @property
    def route_applied(self) -> bool:
        """Whether all routers that live work with the route as it is now, and there is one."""
        return bool(self.route.applied_by) and not self.route.awaited

    @property
    def route_refusal(self) -> StatusMessage | None:
        """What a router says against the route as it is now."""
        if self.route.problem:
            return self.route.problem
        if not self.route.refused_by:
            return None
        router, sentence = min(self.route.refused_by.items())
        message = f"{router} refuses the route and goes on with the last one that it took: {sentence}"
        return StatusMessage(Reason.ROUTE_REFUSED, message)

    def model_of(self, revision: str) -> Model | None:
        """What a revision's snapshot has as its model."""
        snapshot = self.state(revision).snapshot
        return snapshot.model if snapshot else None

    def pod_template_of(self, revision: str) -> Mapping[str, Any]:
        """What a revision's snapshot has as the user's podTemplate; empty where it is gone."""
        snapshot = self.state(revision).snapshot
        return snapshot.server.pod_template if snapshot else {}

    def state(self, revision: str | None) -> RevisionState:
        """A revision's state; an empty one where the cluster has nothing of it."""
        name = revision or ""
        return self.revisions.get(name, RevisionState(name))
