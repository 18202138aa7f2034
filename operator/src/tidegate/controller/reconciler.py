"""observe → judge → decide → act, on one screen."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tidegate.controller.act import act
from tidegate.controller.checkpoints import Checkpoints, record_header
from tidegate.controller.clock import ClockWatch
from tidegate.controller.glances import Glances, leaves_nothing_to_do
from tidegate.controller.hints import Hints
from tidegate.controller.judging import RolloutJudge
from tidegate.controller.loans import Loans
from tidegate.controller.observe import observe
from tidegate.controller.refusals import Refusals
from tidegate.controller.restorations import Restorations
from tidegate.controller.rivals import Rivals
from tidegate.controller.specs import ReadableSpecs, Spec, readable_part
from tidegate.decide.hints import hints
from tidegate.decide.rollout import decide
from tidegate.decide.unreadable_spec import held, refused, told, without_deadlines
from tidegate.errors import (
    ClusterUnavailable,
    ConfigUnusable,
    InvalidSpec,
    LeadershipLost,
    ObjectGone,
    ReferenceUnknown,
    RouterUnavailable,
    WriteRefused,
)
from tidegate.gates.gatekeeper import Gatekeeper
from tidegate.gates.review import questions
from tidegate.kube.api import Manifest
from tidegate.kube.cluster import Cluster
from tidegate.kube.informer import Key
from tidegate.model.decision import Decision, Event
from tidegate.model.observation import Observation
from tidegate.model.reasons import ConditionType
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.status import Condition, Status
from tidegate.notifiers.outbox import Outbox
from tidegate.registries.follower import Follower
from tidegate.registries.reference import Reference
from tidegate.resources.ownership import Owner
from tidegate.settings import Settings

log = logging.getLogger(__name__)

ANSWER_TO_COME = timedelta(seconds=5)
"""While counters are asked for: their answer enqueues the object again, this is for one that never comes."""

AFTER_UNUSABLE = timedelta(seconds=15)
"""Until a ConfigMap or Secret that can't be used is looked at again; one that is made or changed is at once."""
NEEDS_MORE = (ConfigUnusable, ReferenceUnknown, RouterUnavailable)
"""What other objects than the ModelDeployment can mend."""

AFTER_REFUSAL = timedelta(seconds=5)
"""The soonest that a pass comes only to try again what was refused."""
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
    rivals: Rivals = field(default_factory=Rivals)
    refusals: Refusals = field(default_factory=Refusals)
    restorations: Restorations = field(default_factory=Restorations)
    clock: ClockWatch = field(default_factory=ClockWatch)
    specs: ReadableSpecs = field(default_factory=ReadableSpecs)
    hints: Hints = field(default_factory=Hints)
    glances: Glances = field(default_factory=Glances)
    gatekeeper: Gatekeeper | None = None
    """None asks no gates: a rollout waits for those that it has."""
    outbox: Outbox | None = None
    """None tells nobody."""
    follower: Follower | None = None
    """None looks at no registry: what a name means is what is recorded."""
    checkpoints: Checkpoints = field(init=False)
    loans: Loans = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "checkpoints", Checkpoints(self.cluster))
        object.__setattr__(self, "loans", Loans(self.cluster))

    def reconcile(self, namespace: str, name: str, now: datetime) -> timedelta | None:
        """One pass; gives back when to reconcile again, or None to wait for an event.

        Raises ClusterUnavailable when a write failed: call again a little later; ObjectChanged when somebody else wrote
        first: call again at once.
        """
        manifest = self.cluster.model_deployment(namespace, name)
        if manifest is None or manifest["metadata"].get("deletionTimestamp"):
            self._forget(namespace, name)
            return self.loans.give_back(manifest, None, now) if manifest else None
        key = namespace, name
        until = self.glances.until(key, manifest, now)
        if until and self.judge.glance(namespace, name, now):
            return until - now
        try:
            return self._reconcile(key, manifest, now)
        except ObjectGone as error:
            log.info("%s, which nobody had said", error)
            self._forget(namespace, name)
            return None

    def _forget(self, namespace: str, name: str) -> None:
        self.judge.forget(namespace, name)
        for kept in (
            self.rivals,
            self.refusals,
            self.restorations,
            self.clock,
            self.specs,
            self.hints,
            self.glances,
            self.checkpoints,
        ):
            kept.forget((namespace, name))
        for outside in (self.gatekeeper, self.outbox, self.follower):
            if outside:
                outside.forget((namespace, name))
        self.on_deletion(namespace, name)

    def _reconcile(self, key: Key, manifest: Manifest, now: datetime) -> timedelta | None:
        unreadable, being_asked, changes, look_again = "", False, self.glances.begin(key), None
        answers = self.follower.answers(key, Reference.of(manifest["spec"])) if self.follower else None
        try:
            observed = observe(self.cluster, self.settings, manifest, now, answers)
            self.specs.note(manifest)
        except InvalidSpec as error:
            unreadable, look_again = str(error), AFTER_UNUSABLE if isinstance(error, NEEDS_MORE) else None
            readable = self._by_readable_spec(manifest, now)
            being_asked = isinstance(error, ReferenceUnknown) and error.asked
            if readable is None and being_asked:
                return ANSWER_TO_COME
            if readable is not None and being_asked:  # what is live isn't yet what this spec asks for
                readable = replace(readable, generation=readable.recorded.observed_generation)
            if readable is None:
                self._refuse(key, manifest, unreadable, now)
                return look_again
            observed = without_deadlines(readable)
        self._check_writer(manifest, observed)
        observed = self._heard(key, manifest, observed)
        observed = replace(observed, restorations=self.restorations.of(key, observed.now))
        jump = self.clock.jump(key, observed.now, observed.recorded)
        refusal, rollouts = self.refusals.told(key), self.judge.rollouts
        judged = self.judge.judge(replace(observed, clock_jump=jump, refusal=refusal, rollouts=rollouts))
        if judged is None:
            return ANSWER_TO_COME
        decision = decide(held(judged, unreadable) if unreadable else judged)
        if unreadable and not being_asked:
            decision = told(judged, decision, observed.recorded, unreadable)
        for event in decision.events:
            log.info("%s/%s: %s: %s", judged.namespace, judged.name, event.reason, event.message)
        try:
            act(self.cluster, self.settings, manifest, judged, decision, self.refusals)
        except WriteRefused:
            self._tell(manifest, judged)
            raise
        finally:
            self._note_clock(key, jump, decision, now)
        self.restorations.note(judged, decision)
        self._call_others(key, manifest, judged, decision)
        self.on_decision(judged, decision)
        self._hint(manifest, judged)
        self._keep(manifest, judged, decision)
        returning = self.loans.give_back(manifest, judged.spec.route_settings, now)
        times = self._requeue_after(key, decision, now), look_again, returning
        again = min((each for each in times if each), default=None)
        if leaves_nothing_to_do(judged, decision) and not unreadable and self.refusals.next_try(key) is None:
            self.glances.end(key, manifest, changes, now, again)
        return again

    def _heard(self, key: Key, manifest: Manifest, observed: Observation) -> Observation:
        """With what gates have said, and which notices have been told."""
        if self.gatekeeper and observed.gates:
            answers = self.gatekeeper.answers(key, manifest["metadata"]["uid"], observed.recorded.rollout)
            observed = replace(observed, gate_answers=answers)
        if self.outbox:
            told, delivered = self.outbox.wanted(observed.spec), self.outbox.delivered(key)
            observed = replace(observed, told=told, delivered=delivered)
        return observed

    def _call_others(self, key: Key, manifest: Manifest, seen: Observation, decision: Decision) -> None:
        """What is recorded as asked or as to be told is asked and told from now on; what comes of it enqueues again."""
        uid, status = manifest["metadata"]["uid"], decision.status
        if self.gatekeeper and seen.gates:
            self.gatekeeper.follow(key, uid, status.rollout, questions(seen, status, uid))
        if self.outbox:
            self.outbox.follow(key, uid, seen.spec, status.notices, seen.model_of)

    def _note_clock(self, key: Key, jump: timedelta, decision: Decision, now: datetime) -> None:
        """A clock that was set is known until what it means for the rollout is recorded."""
        if jump:
            current = self.cluster.model_deployment(*key) or {}
            if Status.parse(current.get("status", {})).rollout != decision.status.rollout:
                return
        self.clock.note(key, now)

    def _by_readable_spec(self, manifest: Manifest, now: datetime) -> Observation | None:
        """By the last spec that could be read; a restart forgets it, and then a rollout goes by what can be read."""
        last = self.specs.last(manifest)
        if last is not None:
            with suppress(*NEEDS_MORE):
                return observe(self.cluster, self.settings, {**manifest, "spec": last}, now)
        part = _unfollowed(readable_part(manifest["spec"]))
        try:
            seen = observe(self.cluster, self.settings, {**manifest, "spec": part}, now)
        except RouterUnavailable:
            return None
        except ConfigUnusable:
            part = {name: value for name, value in part.items() if name != "server"}
            seen = observe(self.cluster, self.settings, {**manifest, "spec": part}, now)
        rollout = seen.recorded.rollout
        # Without the candidate's own snapshot nobody knows what its pods are made of, and none are to be made.
        if rollout is None or seen.recorded.stable is None or seen.state(rollout.candidate).snapshot is None:
            return None
        return replace(seen, desired=rollout.candidate, followed=seen.recorded.model)

    def _keep(self, manifest: Manifest, seen: Observation, decision: Decision) -> None:
        """Writes down how far the evidence goes and what it was made from, and drops what isn't needed any more."""
        metadata, rollout = manifest["metadata"], decision.status.rollout
        owner = Owner(metadata["namespace"], metadata["name"], metadata["uid"])
        kept, header, refused = self.judge.checkpoint(owner.namespace, owner.name), record_header(seen, decision), None
        if header and header.ended:
            if record := self.judge.record(header):
                self.checkpoints.end(owner, header, record)
        elif header and rollout and kept:
            refused = self.checkpoints.keep(owner, rollout.candidate, kept)
        refused = self.checkpoints.tidy(owner, rollout.candidate if rollout else None) or refused
        if refused:
            self._tell_hints(manifest, [Event(refused.reason, refused.message, warning=True)], seen)

    def _requeue_after(self, key: Key, decision: Decision, now: datetime) -> timedelta | None:
        next_try = self.refusals.next_try(key)
        if next_try is None:
            return decision.requeue_after
        pause = max(next_try - now, AFTER_REFUSAL)
        return pause if decision.requeue_after is None else min(pause, decision.requeue_after)

    def _hint(self, manifest: Manifest, seen: Observation) -> None:
        """Comes last: whatever it is about stops nothing, and neither does an Event that isn't taken."""
        minor = self.refusals.minor((seen.namespace, seen.name))
        refused = [Event(each.reason, each.message, warning=True) for each in minor]
        troubles = self.outbox.troubles((seen.namespace, seen.name)) if self.outbox else []
        self._tell_hints(manifest, [*hints(seen), *refused, *troubles], seen)

    def _tell_hints(self, manifest: Manifest, events: Sequence[Event], seen: Observation) -> None:
        key = seen.namespace, seen.name
        for hint in self.hints.due(key, events, seen.now):
            log.info("%s/%s: %s: %s", *key, hint.reason, hint.message)
            try:
                self.cluster.emit(manifest, hint, seen.now)
            except ClusterUnavailable as error:
                log.warning("%s/%s: %s", *key, error)
            self.hints.note(key, hint, seen.now)

    def _tell(self, manifest: Manifest, seen: Observation) -> None:
        """A route or a status is refused for good: what is recorded stays, but for the condition that says so."""
        refusal = self.refusals.told((seen.namespace, seen.name))
        if refusal is None or refusal == seen.refusal:
            return
        self.cluster.emit(manifest, Event(refusal.reason, refusal.message, warning=True), seen.now)
        current = self.cluster.model_deployment(seen.namespace, seen.name) or manifest
        recorded = Status.parse(current.get("status", {}))
        stalled = Condition(ConditionType.STALLED, "True", refusal.reason, refusal.message, seen.now, seen.generation)
        status = replace(recorded.with_condition(stalled), message=refusal.message)
        version = current["metadata"].get("resourceVersion", "")
        self.cluster.record_status(seen.namespace, seen.name, status.to_dict(), version)

    def _check_writer(self, manifest: Manifest, observed: Observation) -> None:
        """Raises LeadershipLost where a later leader has written; says so where another release's operator has."""
        ours, last = self.cluster.writer, observed.route.writer
        if ours.is_outranked_by(last):
            raise LeadershipLost(f"{ours} doesn't lead any more: the route of {observed.name} was written by {last}")
        if event := self.rivals.meet((observed.namespace, observed.name), ours, last):
            log.warning("%s/%s: %s: %s", observed.namespace, observed.name, event.reason, event.message)
            self.cluster.emit(manifest, event, observed.now)

    def _refuse(self, key: Key, manifest: Manifest, message: str, now: datetime) -> None:
        metadata, recorded = manifest["metadata"], Status.parse(manifest.get("status", {}))
        spec, outbox = ModelDeploymentSpec.parse(readable_part(manifest["spec"])), self.outbox
        status, event = refused(
            recorded,
            message,
            now.replace(microsecond=0),
            metadata["generation"],
            told=outbox.wanted(spec) if outbox else frozenset(),
            delivered=outbox.delivered(key) if outbox else frozenset(),
        )
        if status != recorded:
            self.cluster.record_status(*key, status.to_dict(), metadata.get("resourceVersion", ""))
        if event:
            self.cluster.emit(manifest, event, now)
        if outbox:
            outbox.follow(key, metadata["uid"], spec, status.notices)


def _unfollowed(spec: Spec) -> Spec:
    """The spec as if its model's name weren't followed: then that needn't be looked up."""
    model = {name: value for name, value in spec["model"].items() if name != "follow"}
    return {**spec, "model": model}
