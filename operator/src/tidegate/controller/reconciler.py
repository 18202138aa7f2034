"""observe → judge → decide → act, on one screen."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tidegate.controller.act import act
from tidegate.controller.judging import RolloutJudge
from tidegate.controller.observe import observe
from tidegate.decide.rollout import decide
from tidegate.errors import InvalidSpec, ObjectGone
from tidegate.kube.api import Manifest
from tidegate.kube.cluster import Cluster
from tidegate.model.decision import Decision, Event
from tidegate.model.observation import Observation
from tidegate.model.reasons import ConditionType, Phase, Reason
from tidegate.model.status import Condition, Status
from tidegate.settings import Settings

log = logging.getLogger(__name__)

DecisionListener = Callable[[Observation, Decision], None]
"""Called after every decision was carried out; for metrics."""


@dataclass(frozen=True)
class Reconciler:
    """Brings one ModelDeployment a step closer to what it asks for, as often as it is called."""

    cluster: Cluster
    judge: RolloutJudge
    settings: Settings
    on_decision: DecisionListener
    on_deletion: Callable[[str, str], None] = lambda namespace, name: None
    """Called with namespace and name of a ModelDeployment that there is no more."""

    def reconcile(self, namespace: str, name: str, now: datetime) -> timedelta | None:
        """One pass; gives back when to reconcile again, or None to wait for an event.

        Raises ClusterUnavailable when a write failed: call again a little later.
        """
        manifest = self.cluster.model_deployment(namespace, name)
        if manifest is None or manifest["metadata"].get("deletionTimestamp"):
            self._forget(namespace, name)
            return None
        try:
            return self._reconcile(manifest, now)
        except ObjectGone as error:
            log.info("%s, which nobody had said", error)
            self._forget(namespace, name)
            return None

    def _forget(self, namespace: str, name: str) -> None:
        self.judge.forget(namespace, name)
        self.on_deletion(namespace, name)

    def _reconcile(self, manifest: Manifest, now: datetime) -> timedelta | None:
        try:
            observed = observe(self.cluster, manifest, scrape_interval=self.settings.scrape_interval, now=now)
        except InvalidSpec as error:
            self._refuse(manifest, str(error), now)
            return None
        judged = self.judge.judge(observed)
        decision = decide(judged)
        for event in decision.events:
            log.info("%s/%s: %s: %s", judged.namespace, judged.name, event.reason, event.message)
        act(self.cluster, self.settings, manifest, judged, decision)
        self.on_decision(judged, decision)
        return decision.requeue_after

    def _refuse(self, manifest: Manifest, message: str, now: datetime) -> None:
        metadata = manifest["metadata"]
        recorded = Status.parse(manifest.get("status", {}))
        before = recorded.condition(ConditionType.STALLED)
        if before and before.message == message and before.status == "True":
            return
        generation = metadata["generation"]
        kept = tuple(condition for condition in recorded.conditions if condition.type != ConditionType.STALLED)
        stalled = Condition(
            ConditionType.STALLED, "True", Reason.INVALID_SPEC, message, now.replace(microsecond=0), generation
        )
        status = replace(
            recorded,
            observed_generation=generation,
            phase=Phase.INVALID,
            message=message,
            conditions=(*kept, stalled),
        )
        self.cluster.record_status(metadata["namespace"], metadata["name"], status.to_dict())
        self.cluster.emit(manifest, Event(Reason.INVALID_SPEC, message, warning=True), now)
