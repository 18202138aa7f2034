"""One ModelDeployment that decide() leads: it is observed, and what a Decision asks for is so at once. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from tidegate.model import actions
from tidegate.model.actions import Action
from tidegate.model.decision import Decision
from tidegate.model.evidence import Verdict
from tidegate.model.observation import Observation
from tidegate.model.revision import RevisionState, Snapshot
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.status import Status
from tidegate.model.traffic import RouteState, Share, TrafficSplit

ROUTERS = frozenset({"router"})


@dataclass(frozen=True)
class SimulatedDeployment:
    """What Kubernetes holds of it: the spec, the status, the route's split, and pods, all of them ready."""

    spec: ModelDeploymentSpec
    candidate: str
    """The revision that the spec asks for."""
    recorded: Status
    split: TrafficSplit
    pods: Mapping[str, int]
    """Per revision that has a Deployment."""

    @classmethod
    def released(cls, spec: ModelDeploymentSpec, stable: str, candidate: str) -> "SimulatedDeployment":
        """`stable` serves alone, and the spec has just come to ask for `candidate`."""
        return cls(spec, candidate, Status(stable=stable), TrafficSplit.only(stable), {stable: spec.replicas})

    def observed(
        self, now: datetime, verdict: Verdict, share: Share | None, propagation_delay: timedelta
    ) -> Observation:
        """As the operator would observe it, with what the metrics say beside it."""
        # Nothing is fetched and nothing is served, so it doesn't matter what the pods would run.
        snapshot = Snapshot(self.spec.model, self.spec.server, "", None)
        return Observation(
            now=now,
            namespace="",
            name="simulated",
            generation=1,
            spec=self.spec,
            desired=self.candidate,
            plan="",
            recorded=self.recorded,
            revisions={
                name: RevisionState(name, snapshot=snapshot, replicas=pods, ready=pods)
                for name, pods in self.pods.items()
            },
            route=RouteState(self.split, applied_by=ROUTERS),
            route_settings_match=True,
            share=share,
            verdict=verdict,
            propagation_delay=propagation_delay,
        )

    def after(self, decision: Decision) -> "SimulatedDeployment":
        """With all of a decision's writes done."""
        result = self
        for action in decision.actions:
            result = result._after(action)
        return result

    def _after(self, action: Action) -> "SimulatedDeployment":
        match action:
            case (
                actions.EnsureRevision(revision=revision, replicas=pods)
                | actions.ScaleRevision(revision=revision, replicas=pods)
            ):
                return replace(self, pods={**self.pods, revision: pods})
            case actions.ShiftTraffic(split=split):
                return replace(self, split=split)
            case actions.RecordStatus(status=status):
                return replace(self, recorded=status)
            case actions.DeleteWorkload(revision=revision):
                return replace(self, pods={name: pods for name, pods in self.pods.items() if name != revision})
            case actions.RestartRevision():
                return self
            case actions.PinModel() | actions.DeleteSnapshot() | actions.EnsureClientServices():
                return self
            case actions.EnsureBudget() | actions.DeleteBudget():
                return self
            case _ as unhandled:
                assert_never(unhandled)
