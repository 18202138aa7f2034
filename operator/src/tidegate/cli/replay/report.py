"""A replay in sentences: which rollout it is, what was recorded of it, and what comes of it now. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

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

    @property
    def same(self) -> bool:
        """Whether the replay ends as it was recorded."""
        return agrees(self.recorded, self.replay)


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
    which = "under way" if report.recorded.number is None else f"number {report.recorded.number} of its history"
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
    return "spec.analysis as it is now; the settings of that time aren't stored"


def sampling(report: ReplayReport) -> str:
    """How often counters were read, and what was left out."""
    return (
        f"every {format_duration(report.analysis.interval)}; after a later shift of traffic none for "
        f"{format_duration(report.propagation_delay)}; overdispersion of failures "
        f"{report.measurements.overdispersion.errors:.2g}"
    )


def warnings(report: ReplayReport) -> list[str]:
    """Why the verdict may be another one than that of then."""
    found = []
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
        return f"{replayed} so far.{_status_now(report.now)}"
    then = f"{_outcome(recorded)} at {format_duration(recorded.ended_after)}"
    if not report.same:
        return f"{replayed}. Another verdict was recorded: {then}."
    if _without_the_judge(recorded):
        return f"{replayed}. Recorded: {then}, in which the judge had no part."
    return f"{replayed}. The same verdict was recorded: {then}."


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


def _outcome(recorded: Recorded) -> str:
    return f"{OUTCOMES.get(recorded.outcome or '', recorded.outcome)} ({recorded.reason})"


def _status_now(view: AnalysisView | None) -> str:
    return f" The status says {view.verdict} ({view.reason})." if view else ""


def _without_the_judge(recorded: Recorded) -> bool:
    if recorded.outcome == Outcome.ROLLED_BACK:
        return recorded.reason not in BY_THE_JUDGE
    return recorded.outcome != Outcome.PROMOTED or recorded.reason != Reason.EVIDENCE_ACCEPTABLE
