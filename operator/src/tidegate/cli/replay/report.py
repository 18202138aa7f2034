"""A replay in sentences: which rollout it is, what was recorded of it, and what comes of it now. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tidegate.cli.replay.agreement import Agreement
from tidegate.cli.replay.engine import Finding, Replay
from tidegate.cli.replay.recorded import Recorded
from tidegate.judge.rules import REASONS
from tidegate.model.evidence import Measurements
from tidegate.model.reasons import Outcome, Reason
from tidegate.model.spec import Analysis
from tidegate.model.status import AnalysisView
from tidegate.model.traffic import Arms
from tidegate.model.units import format_duration, format_instant

BY_THE_JUDGE = frozenset((*REASONS.values(), Reason.ONE_POD_WORSE, Reason.QUERY_BEYOND_LIMIT))
"""Reasons of a rollback that are a verdict; a crash or a deadline is none."""
OUTCOMES: Mapping[str, str] = {
    Outcome.ROLLED_BACK: "rolled back",
    Outcome.PROMOTED: "promoted",
    Outcome.SUPERSEDED: "superseded",
    Outcome.ABORTED: "ended by the user",
}


@dataclass(frozen=True)
class RecordUsed:
    """The operator's own record, as far as people want to know of it.

    `sources` are whom it was made from. `said` is how many of its verdicts were held against what was said then, and
    `differs` the first that isn't that. Before `begins` increments have been dropped; None where none have. `is_cut`
    says whether it ends before the rollout did. `agreement` is a sentence about what Prometheus has of the same time.
    """

    sources: tuple[str, ...]
    said: int
    differs: str
    begins: datetime | None
    ends: datetime
    is_cut: bool
    agreement: str
    counted: Agreement | None = None


@dataclass(frozen=True)
class ReplayReport:
    """Everything that a report is made of. `changes` are what `--set` changed, as it was written."""

    arms: Arms
    recorded: Recorded
    analysis: Analysis
    changes: Sequence[str]
    strategy_changed: bool
    propagation_delay: timedelta
    measurements: Measurements
    missing: int
    replay: Replay
    now: AnalysisView | None = None
    """What the status says of a rollout under way."""
    record: RecordUsed | None = None
    """What the operator itself kept, where that was replayed."""

    @property
    def same(self) -> bool:
        """Whether the replay ends as it was recorded."""
        if self.record and self.record.differs:
            return False
        return bool(self.record and self.record.is_cut) or agrees(self.recorded, self.replay)


def agrees(recorded: Recorded, replay: Replay) -> bool:
    """Whether the replay ends as it was recorded. Where the judge had no part in the end, it may not object to it."""
    if recorded.outcome is None:
        return True
    if not _without_the_judge(recorded):
        return replay.outcome == recorded.outcome
    if recorded.reason == Reason.DEADLINE_EXCEEDED:
        return replay.outcome is None
    return replay.outcome != Outcome.ROLLED_BACK


def title(report: ReplayReport) -> str:
    """Which rollout this is."""
    recorded = report.recorded
    which = "ended" if recorded.outcome else "under way"
    if recorded.number is not None:
        which = f"number {recorded.number} of its history"
    return f"{report.arms.namespace}/{report.arms.name}, {which}: {report.arms.candidate} beside {report.arms.stable}"


def recorded_end(recorded: Recorded) -> str:
    """What the status says of it."""
    if recorded.outcome is None:
        return f"under way since {format_instant(recorded.began)}"
    return f"{_outcome(recorded)} at {format_duration(recorded.ended_after)}, until {format_instant(recorded.until)}"


def judged_by(report: ReplayReport) -> str:
    """Whose settings these are."""
    if report.changes:
        return f"spec.analysis as it is now, but with {', '.join(report.changes)}"
    if report.record:
        return "the settings of that time, which the operator recorded with the increments"
    return "spec.analysis as it is now; the settings of that time aren't stored"


def sampling(report: ReplayReport) -> str:
    """How often counters were read, and what was left out."""
    if report.record:
        return (
            f"{len(report.measurements.increments):,}, recorded by the operator as it read them from "
            f"{' and '.join(report.record.sources)}; overdispersion of failures "
            f"{report.measurements.overdispersion.errors:.2g}"
        )
    return (
        f"every {format_duration(report.analysis.interval)}; after a later shift of traffic none for "
        f"{format_duration(report.propagation_delay)}; overdispersion of failures "
        f"{report.measurements.overdispersion.errors:.2g}"
    )


def warnings(report: ReplayReport) -> list[str]:
    """Why the verdict may be another one than that of then."""
    found = list(_about_the_record(report.record)) if report.record else []
    if report.missing > 0:
        there = len(report.replay.rows)
        found.append(
            f"Prometheus has only {there} of {there + report.missing} increments, so the verdict may be another"
        )
    if not report.measurements.reference.total and any(row.stable.durations.total for row in report.replay.rows):
        found.append(
            "Prometheus has lost stable's latency from before the rollout, so that was learned from its increments"
        )
    if report.strategy_changed:
        found.append("the strategy has changed since, so its steps are taken to be those that the candidate came to")
    if report.measurements.overdispersion.noisy:
        found.append(report.measurements.overdispersion.noisy)
    return found


def _about_the_record(record: RecordUsed) -> Iterator[str]:
    if record.differs:
        yield f"{record.differs}: another version of the judge wrote the record, or it was edited"
    if record.begins:
        yield (
            f"the record begins at {format_instant(record.begins)}, what was before it has been dropped, and the test "
            "goes on from what it knew then"
        )
    if record.is_cut:
        yield f"the record goes up to {format_instant(record.ends)}, as its operator ended before the rollout did"


def findings(replay: Replay) -> list[str]:
    """Each decision that moves the rollout, with the time at which it could be made."""
    lines = [_sentence(finding, replay) for finding in replay.findings]
    if not replay.outcome and replay.rows:
        last = replay.rows[-1]
        lines.append(
            f"at the last increment, {format_duration(last.at)}: {last.verdict.reason}: {last.verdict.message}"
        )
    return lines


def goal(finding: Finding, replay: Replay) -> str:
    """Where a decision lets the rollout go."""
    return f"step {finding.step}" if finding.step <= replay.steps else "all traffic"


def conclusion(report: ReplayReport) -> str:
    """What the replay comes to, beside what was recorded."""
    recorded, replay = report.recorded, report.replay
    replayed = f"{'With these settings' if report.changes else 'The replay'}: {outcome_of(replay)}"
    if recorded.outcome is None:
        return f"{replayed} so far.{_repeated(report)}{_status_now(report.now)}"
    then = f"{_outcome(recorded)} at {format_duration(recorded.ended_after)}"
    if not report.same and report.record and agrees(recorded, replay):
        return f"{replayed}. The same end was recorded, {then}, but not the same evidence."
    if not report.same:
        return f"{replayed}. Another verdict was recorded: {then}."
    if report.record and report.record.is_cut:
        return f"{replayed}, where its record ends. The rollout ended later: {then}.{_repeated(report)}"
    if _without_the_judge(recorded):
        return f"{replayed}. Recorded: {then}, in which the judge had no part.{_repeated(report)}"
    return f"{replayed}. The same verdict was recorded: {then}.{_repeated(report)}"


def outcome_of(replay: Replay) -> str:
    """How it ends, and when."""
    if back := replay.rolled_back:
        return f"rolled back ({back.reason}) at {format_duration(back.at)}"
    if promoted := replay.promoted:
        return f"promoted at {format_duration(promoted.at)}"
    return f"neither rolled back nor promoted by {format_duration(replay.rows[-1].at)}"


def _sentence(finding: Finding, replay: Replay) -> str:
    at = format_duration(finding.at)
    then = "" if finding.then is None else f" (recorded: {format_duration(finding.then)})"
    if finding.step == 0:
        return f"rolled back at {at}{then}: {finding.reason}: {finding.message}"
    return f"acceptable for {goal(finding, replay)} at {at}{then}: {finding.message}"


def _repeated(report: ReplayReport) -> str:
    """How many verdicts were repeated exactly."""
    record = report.record
    if record is None or record.differs or not record.said:
        return ""
    verdicts = "The verdict that was recorded is" if record.said == 1 else f"All {record.said} recorded verdicts are"
    return f" {verdicts} repeated, to the last digit of the evidence."


def _outcome(recorded: Recorded) -> str:
    return f"{OUTCOMES.get(recorded.outcome or '', recorded.outcome)} ({recorded.reason})"


def _status_now(view: AnalysisView | None) -> str:
    return f" The status says {view.verdict} ({view.reason})." if view else ""


def _without_the_judge(recorded: Recorded) -> bool:
    if recorded.outcome == Outcome.ROLLED_BACK:
        return recorded.reason not in BY_THE_JUDGE
    return recorded.outcome != Outcome.PROMOTED or recorded.reason != Reason.EVIDENCE_ACCEPTABLE
