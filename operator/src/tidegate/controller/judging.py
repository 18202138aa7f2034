"""The second of the four verbs: what the counters say about what was observed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tidegate.decide.controls import aborted
from tidegate.decide.criteria import criteria_for
from tidegate.decide.rollback_triggers import rollback_trigger
from tidegate.errors import MetricsUnavailable
from tidegate.judge.case import Criteria
from tidegate.judge.sampling import INGESTION_LAG
from tidegate.judge.verdict import NOTHING_TO_JUDGE, answer, cannot_see
from tidegate.metrics.accumulate import ReadyPods
from tidegate.metrics.checkpoint import Kept
from tidegate.metrics.collector import MetricsCollector
from tidegate.metrics.look import Look, Measured
from tidegate.metrics.query_pool import AtOnce, Pool
from tidegate.metrics.record import Header
from tidegate.model.evidence import Answer, MetricsGap, Verdict
from tidegate.model.observation import Observation
from tidegate.model.reasons import Reason
from tidegate.model.revision import RevisionState
from tidegate.model.status import Status
from tidegate.model.traffic import Arms, Share

FRESH = timedelta(seconds=15)
"""A verdict that is older than that says nothing any more."""


@dataclass(frozen=True)
class Judged:
    """What was said last, of which rollout, and when."""

    verdict: Verdict
    share: Share | None
    criteria: Criteria
    rollout: tuple[object, ...]
    at: datetime
    seen: Observation


@dataclass(frozen=True)
class RolloutJudge:
    """Adds the verdict and the observed share to an Observation. Safe to use from several threads, one per object.

    Counters are asked for in a pool: while an answer is still to come, what was said last holds for a moment.
    """

    collector: MetricsCollector
    pool: Pool = field(default_factory=AtOnce)
    _last: dict[tuple[str, str], Judged] = field(default_factory=dict)
    _checkpoints: dict[tuple[str, str], Kept] = field(default_factory=dict)

    def judge(self, observation: Observation) -> Observation | None:
        """The same observation with its `verdict` and `share`; None while nothing can be said yet.

        What the metrics can't tell is part of the answer. Nothing is asked where the pods' own facts end the rollout.
        """
        key, rollout = (observation.namespace, observation.name), observation.recorded.rollout
        self.collector.watch(*key, observation.spec, _of_interest(observation), observation.route)
        if rollout is None or observation.recorded.stable is None:
            self._drop(*key)
        if not _needs_counters(observation):
            exposed, shadowed = self.collector.exposed(*key), self.collector.shadowed(*key)
            verdict = replace(NOTHING_TO_JUDGE, exposed=exposed, shadowed=shadowed)
            observation = replace(observation, verdict=verdict)
            if rollout is not None or not _asks_for_share(observation):
                return observation
        directly = self._by_routers(observation)
        if directly and (directly.verdict.answer is Answer.WORSE or not self._needs_prometheus(observation)):
            return self._remembered(directly)
        try:
            measured = self.pool.ask(key, lambda: self._measured(observation))
        except MetricsUnavailable as error:
            unseen = cannot_see(MetricsGap(Reason.METRICS_UNAVAILABLE, str(error)))
            return self._remembered(directly) if directly else replace(observation, verdict=unseen)
        if measured is None or measured.rollout != _identity(observation):
            # What routers tell needs nobody's answer: right after a shift nothing else has been said of it yet.
            return self._remembered(directly) if directly else self._said_last(observation) or _asked_for(observation)
        if isinstance(measured.measured, Measured) and measured.measured.checkpoint:
            self._checkpoints[key] = measured.measured.checkpoint
        if directly := self._by_routers(observation):
            return self._remembered(directly)
        return self._remembered(self._judged(observation, measured.measured, measured.share))

    def glance(self, namespace: str, name: str, now: datetime) -> bool:
        """Takes in what routers have told; whether what was said last holds, and Prometheus needn't be asked.

        Of a rollout around which nothing has changed since then.
        """
        last = self._last.get((namespace, name))
        seen = replace(last.seen, now=now.replace(microsecond=0)) if last else None
        if last is None or seen is None or self._needs_prometheus(seen):
            return False
        look = _look(seen)
        return look is not None and self.collector.still_says(last.verdict, look)

    def _judged(
        self, observation: Observation, measured: Measured | MetricsGap | None, share: Share | None
    ) -> Observation:
        """With the verdict, which is recorded as one on all that had been counted then: nobody counts meanwhile."""
        with self.collector.holding(observation.namespace, observation.name):
            judged = replace(observation, verdict=self._verdict(observation, measured), share=share)
            if isinstance(measured, Measured) and (look := _look(judged)):
                self.collector.say(look, measured, judged.verdict, judged.now)
        return judged

    def _remembered(self, judged: Observation) -> Observation:
        """What was said holds for a moment where an answer is still to come."""
        if rollout := judged.recorded.rollout:
            criteria = criteria_for(judged.spec, rollout)
            self._last[judged.namespace, judged.name] = Judged(
                judged.verdict, judged.share, criteria, _identity(judged), judged.now, judged
            )
        return judged

    def _by_routers(self, observation: Observation) -> Observation | None:
        """What follows from all that routers have told themselves by now; None where none of them does.

        Nobody is asked: what comes from Prometheus is as it was told last.
        """
        look = _look(observation)
        measured = self.collector.measure_directly(look) if look else None
        if measured is None:
            return None
        share = self.collector.share_so_far(observation.namespace, observation.name)
        return self._judged(observation, measured, share)

    def _needs_prometheus(self, observation: Observation) -> bool:
        """Whether Prometheus is to be asked as well: no more often than without routers that are read directly."""
        told = self.collector.told_by_prometheus_at(observation.namespace, observation.name)
        since = None if told is None else observation.now - INGESTION_LAG - told
        return since is None or not timedelta() <= since < observation.spec.analysis.interval

    @property
    def rollouts(self) -> int:
        """How many are judged now."""
        return self.collector.rollouts

    def forget(self, namespace: str, name: str) -> None:
        """There is no such ModelDeployment any more."""
        self.collector.unwatch(namespace, name)
        self._drop(namespace, name)

    def _drop(self, namespace: str, name: str) -> None:
        """Drops what is kept of a ModelDeployment that has no rollout any more."""
        self.collector.forget(namespace, name)
        self._last.pop((namespace, name), None)
        self._checkpoints.pop((namespace, name), None)

    def checkpoint(self, namespace: str, name: str) -> Kept | None:
        """The evidence and its record as they are to be kept, where that is due; handed out once."""
        return self._checkpoints.pop((namespace, name), None)

    def record(self, header: Header) -> str | None:
        """What a rollout's verdicts were made from; None where there is nothing, or it can't be kept."""
        return self.collector.record(header)

    def _said_last(self, observation: Observation) -> Observation | None:
        last, rollout = self._last.get((observation.namespace, observation.name)), observation.recorded.rollout
        if rollout is None:
            return observation  # without a share: nothing is deleted that may still be asked
        if last is None or last.rollout != _identity(observation):
            return None
        if last.criteria != criteria_for(observation.spec, rollout) or observation.now - last.at > FRESH:
            return None
        return replace(observation, verdict=last.verdict, share=last.share)

    def _measured(self, observation: Observation) -> "_Measured":
        """Asks, which may take long."""
        look = _look(observation)
        # The counters before the share, which is computed from the same ones.
        measured = self.collector.measure(look) if look else None
        return _Measured(_identity(observation), measured, self._share(observation))

    def _verdict(self, observation: Observation, measured: Measured | MetricsGap | None) -> Verdict:
        rollout = observation.recorded.rollout
        if rollout is None or measured is None:
            return NOTHING_TO_JUDGE
        if isinstance(measured, MetricsGap):
            return cannot_see(measured)
        nodes = observation.state(rollout.candidate).nodes
        criteria = criteria_for(observation.spec, rollout)
        return answer(measured.test, criteria, measured.measurements, nodes)

    def _share(self, observation: Observation) -> Share | None:
        if not _asks_for_share(observation):
            return None
        return self.collector.share(
            observation.namespace,
            observation.name,
            observation.spec,
            observation.propagation_delay,
            observation.now - INGESTION_LAG,
            observation.route,
        )


@dataclass(frozen=True)
class _Measured:
    """What was asked about which rollout, and what came."""

    rollout: tuple[object, ...]
    measured: Measured | MetricsGap | None
    share: Share | None


def _identity(observation: Observation) -> tuple[object, ...]:
    """What a verdict is about: the rollout as it stands, not since when it waits for what."""
    rollout = observation.recorded.rollout
    if rollout is None:
        return (observation.recorded.stable,)
    return (observation.recorded.stable, rollout.candidate, rollout.started_at, rollout.step, rollout.shifts)


def _look(observation: Observation) -> Look | None:
    recorded = observation.recorded
    if recorded.rollout is None or recorded.stable is None:
        return None
    return Look(
        Arms(observation.namespace, observation.name, recorded.stable, recorded.rollout.candidate),
        recorded.rollout,
        observation.spec,
        criteria_for(observation.spec, recorded.rollout),
        observation.propagation_delay,
        observation.now - INGESTION_LAG,
        ReadyPods(observation.state(recorded.stable).ready, _pods_of(observation.state(recorded.rollout.candidate))),
        observation.route,
    )


def _pods_of(state: RevisionState) -> tuple[str, ...]:
    """The names of a revision's ready pods, as far as they are known."""
    named = sorted(state.nodes)[: state.ready]
    return (*named, *(f"pod {number}" for number in range(len(named) + 1, state.ready + 1)))


def _of_interest(observation: Observation) -> tuple[str, ...]:
    """The revisions whose requests matter now: of a rollout, and of whoever may still have some besides stable."""
    recorded = observation.recorded
    if recorded.stable is None:
        return ()
    if not (recorded.rollout or _may_begin(observation) or _asks_for_share(observation)):
        return ()
    candidate = recorded.rollout.candidate if recorded.rollout else observation.desired
    there = {state.name for state in observation.revisions.values() if state.replicas is not None}
    return tuple(sorted({recorded.stable, candidate, *there}))


def _asked_for(observation: Observation) -> Observation | None:
    """What people have asked for waits for no answer; None where nobody has."""
    rollout, before = observation.recorded.rollout, observation.recorded.analysis
    by_hand = rollout is not None and (rollout.by_hand.full_by or rollout.by_hand.promoted == rollout.step)
    if not by_hand and all(given.key in observation.recorded.controls for given in observation.controls):
        return None
    if before is not None and before.verdict == Answer.CANNOT_SEE.value:
        return replace(observation, verdict=Verdict(Answer.CANNOT_SEE, before.reason, before.message))
    waits = "the counters are still being read"
    return replace(observation, verdict=Verdict(Answer.NOT_ENOUGH, Reason.CATCHING_UP, waits))


def _may_begin(observation: Observation) -> bool:
    """Whether a rollout may begin with this look: then its routers are asked in time."""
    rejected, desired = observation.recorded.rejected, observation.desired
    is_new = desired != observation.recorded.stable and (rejected is None or rejected.revision != desired)
    return is_new and observation.spec.replicas > 0


def _needs_counters(observation: Observation) -> bool:
    """Whether what follows hangs on them: not where a rollout ends by the pods' own facts, or another one begins.

    But whoever has all the traffic when another one begins keeps it if the evidence says so.
    """
    rollout, stable = observation.recorded.rollout, observation.recorded.stable
    if rollout is None or stable is None or observation.desired == stable or aborted(observation):
        return False
    if observation.desired != rollout.candidate and rollout.granted < 100:
        return False
    if rollout.fast_track and not rollout.shifts:
        return False  # the way back is judged by nothing, and waits for nobody's answer
    return rollback_trigger(observation, rollout) is None


def _asks_for_share(observation: Observation) -> bool:
    return observation.split is not None and _anybody_beside(observation.recorded, observation.revisions)


def _anybody_beside(recorded: Status, revisions: Mapping[str, RevisionState]) -> bool:
    """Whether traffic could go to anybody but stable: only then is it worth asking where it goes."""
    return any(state.replicas is not None and state.name != recorded.stable for state in revisions.values())
