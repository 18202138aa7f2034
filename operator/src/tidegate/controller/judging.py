"""The second of the four verbs: what the counters say about what was observed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tidegate.decide.criteria import criteria_for
from tidegate.judge.sampling import INGESTION_LAG
from tidegate.judge.verdict import NOTHING_TO_JUDGE, answer, cannot_see
from tidegate.metrics.collector import Look, MetricsCollector
from tidegate.model.evidence import MetricsGap, Verdict
from tidegate.model.observation import Observation
from tidegate.model.revision import RevisionState
from tidegate.model.status import Status
from tidegate.model.traffic import Arms, Share


@dataclass(frozen=True)
class RolloutJudge:
    """Adds the verdict and the observed share to an Observation. Safe to use from several threads, one per object."""

    collector: MetricsCollector

    def judge(self, observation: Observation) -> Observation:
        """The same observation with its `verdict` and `share`. What the metrics can't tell is part of the answer."""
        # The verdict before the share, which is computed from the same counters.
        judged = replace(observation, verdict=self._verdict(observation))
        return replace(judged, share=self._share(judged))

    def forget(self, namespace: str, name: str) -> None:
        """Drops what is kept of a ModelDeployment that has no rollout any more."""
        self.collector.forget(namespace, name)

    def _verdict(self, observation: Observation) -> Verdict:
        namespace, name, recorded = observation.namespace, observation.name, observation.recorded
        if recorded.rollout is None or recorded.stable is None:
            self.forget(namespace, name)
            return NOTHING_TO_JUDGE
        look = Look(
            Arms(namespace, name, recorded.stable, recorded.rollout.candidate),
            recorded.rollout,
            observation.spec,
            criteria_for(observation.spec, recorded.rollout),
            observation.propagation_delay,
            observation.now - INGESTION_LAG,
        )
        measured = self.collector.measure(look)
        if isinstance(measured, MetricsGap):
            return cannot_see(measured)
        nodes = observation.state(recorded.rollout.candidate).nodes
        return answer(measured.test, look.criteria, measured.measurements, nodes)

    def _share(self, observation: Observation) -> Share | None:
        if observation.split is None or not _anybody_beside(observation.recorded, observation.revisions):
            return None
        return self.collector.share(
            observation.namespace,
            observation.name,
            observation.spec,
            observation.propagation_delay,
            observation.now - INGESTION_LAG,
        )


def _anybody_beside(recorded: Status, revisions: Mapping[str, RevisionState]) -> bool:
    """Whether traffic could go to anybody but stable: only then is it worth asking where it goes."""
    return any(state.replicas is not None and state.name != recorded.stable for state in revisions.values())
