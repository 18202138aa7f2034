"""What is kept of rollouts in the cluster, each in a ConfigMap of its own: what a restarted operator goes on from, and
what the verdicts of those that have ended were made from.

It is written after everything else, and nothing waits for it: without a checkpoint, counters are read from the start
again, and without a record a replay has only what Prometheus still holds.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tidegate.errors import ClusterUnavailable, WriteRefused
from tidegate.kube.api import CONFIG_MAPS
from tidegate.kube.cluster import PIN, Cluster
from tidegate.kube.informer import Key
from tidegate.metrics.checkpoint import Kept
from tidegate.metrics.record import Ended, Header, RecordUnusable, header_of
from tidegate.model.decision import Decision
from tidegate.model.observation import Observation
from tidegate.model.reasons import Reason, StatusMessage
from tidegate.model.traffic import Arms
from tidegate.resources.names import EVIDENCE_KEY, RECORD_KEY, checkpoint_name
from tidegate.resources.ownership import Owner
from tidegate.resources.revision import checkpoint_manifest, record_manifest

RECORDS_KEPT = 3
"""Of the rollouts of one ModelDeployment that have ended."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoints:
    """Keeps one per rollout that is under way, and the records of the last that have ended."""

    cluster: Cluster
    _waiting: dict[Key, tuple[Header, str]] = field(default_factory=dict)
    """The record of a rollout that has ended, until it is written."""

    def kept(self, arms: Arms) -> Kept | None:
        """What was kept of a rollout under way; None where nothing was, or nobody answers."""
        try:
            found = self._stored(arms.namespace, arms.candidate)
        except ClusterUnavailable as error:
            log.warning("%s/%s can't be read: %s", arms.namespace, checkpoint_name(arms.candidate), error)
            return None
        return Kept(found[EVIDENCE_KEY], found.get(RECORD_KEY) or "") if found.get(EVIDENCE_KEY) else None

    def keep(self, owner: Owner, candidate: str, kept: Kept) -> StatusMessage | None:
        """Writes it. What isn't taken is written anew the next time; gives back what to tell people then."""
        try:
            self.cluster.repair(CONFIG_MAPS, checkpoint_manifest(*owner, candidate, kept.evidence, kept.record))
        except ClusterUnavailable as error:
            log.warning("%s/%s: its evidence isn't kept: %s", owner.namespace, owner.name, error)
            if isinstance(error, WriteRefused):
                return _not_kept(error, f"the evidence about {candidate}", "an operator that is restarted has none")
        return None

    def end(self, owner: Owner, header: Header, record: str) -> None:
        """Takes in the record of a rollout that has ended, which `tidy` writes."""
        self._waiting[owner.namespace, owner.name] = header, record

    def tidy(self, owner: Owner, under_way: str | None) -> StatusMessage | None:
        """Writes the record that waits, and deletes checkpoints of other candidates than `under_way`.

        Of one that an operator left who died before it wrote the record, that is kept as far as it goes. A refused
        write costs the record; where nobody answers, it is tried again. Gives back what to tell people.
        """
        key = owner.namespace, owner.name
        ended, told = self._waiting.get(key), None
        if ended is not None:
            told = self._write(owner, *ended)
        for each in self.cluster.children(PIN, owner):
            is_left = each.judged is not None and each.judged != under_way and not each.deleting
            if is_left and each.judged and key not in self._waiting:
                is_recorded = ended is not None and ended[0].candidate == each.judged
                told = self._drop(owner, each.judged, is_recorded=is_recorded) or told
        return told

    def forget(self, key: Key) -> None:
        """There is no such ModelDeployment any more."""
        self._waiting.pop(key, None)

    def _write(self, owner: Owner, header: Header, record: str) -> StatusMessage | None:
        manifest = record_manifest(*owner, header.candidate, header.started_at, record)
        try:
            self.cluster.repair(CONFIG_MAPS, manifest)
        except ClusterUnavailable as error:
            log.warning("%s/%s: the record of %s isn't kept: %s", *owner[:2], header.candidate, error)
            if not isinstance(error, WriteRefused):
                return None
            self._waiting.pop((owner.namespace, owner.name), None)
            return _not_kept(error, f"the record of {header.candidate}", "replay has only what Prometheus holds of it")
        self._waiting.pop((owner.namespace, owner.name), None)
        self._prune(owner)
        return None

    def _prune(self, owner: Owner) -> None:
        """Deletes the oldest records."""
        kept = sorted(each.recorded for each in self.cluster.children(PIN, owner) if each.recorded)
        for _, name in kept[:-RECORDS_KEPT]:
            self._delete(owner, name)

    def _drop(self, owner: Owner, candidate: str, *, is_recorded: bool) -> StatusMessage | None:
        """Deletes a checkpoint, after its record has been kept."""
        told = None
        if not is_recorded:
            try:
                record = self._stored(owner.namespace, candidate).get(RECORD_KEY, "")
                header = header_of(record)
            except ClusterUnavailable as error:
                log.warning("%s/%s: the checkpoint of %s stays: %s", *owner[:2], candidate, error)
                return None
            except RecordUnusable as error:
                log.info("%s/%s: there is no record of %s: %s", *owner[:2], candidate, error)
            else:
                told = self._write(owner, header, record)
        self._delete(owner, checkpoint_name(candidate))
        return told

    def _delete(self, owner: Owner, name: str) -> None:
        try:
            self.cluster.delete(CONFIG_MAPS, owner.namespace, name)
        except ClusterUnavailable as error:
            log.warning("%s/%s: the ConfigMap %s stays: %s", *owner[:2], name, error)

    def _stored(self, namespace: str, candidate: str) -> Mapping[str, str]:
        found = self.cluster.stored(CONFIG_MAPS, namespace, checkpoint_name(candidate))
        return (found or {}).get("data") or {}


def record_header(seen: Observation, decision: Decision) -> Header | None:
    """Whose record it is that a pass adds to, and how that rollout ended in it; None where there was none."""
    before, after, stable = seen.recorded.rollout, decision.status.rollout, seen.recorded.stable
    if before is None or stable is None:
        return None
    arms = Arms(seen.namespace, seen.name, stable, before.candidate)
    if after and (after.candidate, after.started_at) == (before.candidate, before.started_at):
        return Header.of(arms, after)
    entry = next(iter(decision.status.history), None)
    if entry is None or (entry.revision, entry.started_at) != (before.candidate, before.started_at):
        return None  # it goes on by a clock that was set
    ended = Ended(entry.outcome, entry.reason, entry.message, entry.finished_at)
    return replace(Header.of(arms, before, ended), shifts=entry.shifts)


def _not_kept(error: ClusterUnavailable, what: str, then: str) -> StatusMessage:
    return StatusMessage(
        Reason.RECORD_NOT_KEPT, f"the API server refuses to keep {what}, so {then}: {error.said or error}"
    )
