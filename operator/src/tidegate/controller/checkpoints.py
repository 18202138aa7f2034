"""What a restarted operator goes on from: the evidence of a rollout, in a ConfigMap of its own.

It is written after everything else, and nothing waits for it: without one, counters are read from the start again.
"""

import logging
from dataclasses import dataclass

from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import CONFIG_MAPS
from tidegate.kube.cluster import PIN, Cluster
from tidegate.model.traffic import Arms
from tidegate.resources.names import EVIDENCE_KEY, checkpoint_name
from tidegate.resources.ownership import Owner
from tidegate.resources.revision import checkpoint_manifest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoints:
    """Keeps one per rollout."""

    cluster: Cluster

    def evidence(self, arms: Arms) -> str | None:
        """What was kept of a rollout's evidence; None where nothing was, or nobody answers."""
        name = checkpoint_name(arms.candidate)
        try:
            found = self.cluster.stored(CONFIG_MAPS, arms.namespace, name)
        except ClusterUnavailable as error:
            log.warning("%s/%s can't be read: %s", arms.namespace, name, error)
            return None
        return ((found or {}).get("data") or {}).get(EVIDENCE_KEY)

    def keep(self, owner: Owner, candidate: str, evidence: str) -> None:
        """Writes it. What isn't taken is logged, and written anew the next time."""
        try:
            self.cluster.repair(CONFIG_MAPS, checkpoint_manifest(*owner, candidate, evidence))
        except ClusterUnavailable as error:
            log.warning("%s/%s: its evidence isn't kept: %s", owner.namespace, owner.name, error)

    def drop(self, owner: Owner, under_way: str | None) -> None:
        """Deletes those of rollouts that have ended: all but that of the candidate `under_way`."""
        for each in self.cluster.children(PIN, owner):
            if each.judged is None or each.judged == under_way or each.deleting:
                continue
            try:
                self.cluster.delete(CONFIG_MAPS, owner.namespace, checkpoint_name(each.judged))
            except ClusterUnavailable as error:
                log.warning("%s/%s: the checkpoint of %s stays: %s", *owner[:2], each.judged, error)
