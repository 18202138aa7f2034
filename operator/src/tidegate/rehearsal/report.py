"""How a rehearsal ended: a few lines for people, JSON, Markdown for a pull request, JUnit for a CI system. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from tidegate.judge.agreement import Agreement
from tidegate.model.reasons import ConditionType, Outcome
from tidegate.model.units import format_duration, format_percent
from tidegate.rehearsal.engine import Ending
from tidegate.rehearsal.formats import Case, Ended, junit, markdown_table


class ExitCode(IntEnum):
    """What a shell and a pipeline go by; `tidegate status --wait` has the same."""

    PROMOTED = 0
    ROLLED_BACK = 1
    UNDECIDED = 124


UNDECIDED = "Undecided"
"""The outcome of a rehearsal whose time was over."""


@dataclass(frozen=True)
class Report:
    """What is told of a rehearsal. `stable` and `candidate` are the models as they were given."""

    stable: str
    candidate: str
    ending: Ending
    left_out: Sequence[str]

    @property
    def outcome(self) -> str:
        """Promoted, RolledBack or Undecided."""
        return self.ending.entry.outcome if self.ending.entry else UNDECIDED

    @property
    def exit_code(self) -> ExitCode:
        """Of the command."""
        if self.ending.entry is None:
            return ExitCode.UNDECIDED
        return ExitCode.PROMOTED if self.outcome == Outcome.PROMOTED else ExitCode.ROLLED_BACK

    @property
    def reason(self) -> str:
        """In one word."""
        if self.ending.entry:
            return self.ending.entry.reason
        waits = self.ending.status.condition(ConditionType.RECONCILING)
        return waits.reason if waits else ""

    @property
    def why(self) -> str:
        """In one sentence: the one that a cluster's status would have."""
        return self.ending.entry.message if self.ending.entry else self.ending.status.message

    @property
    def conclusion(self) -> str:
        """The outcome with its time."""
        after = f"after {format_duration(self.ending.lasted)}"
        return {
            Outcome.PROMOTED.value: f"The candidate was promoted {after}.",
            Outcome.ROLLED_BACK.value: f"The candidate was rolled back {after}.",
        }.get(self.outcome, f"It was undecided when its time was over, {after}.")


def text_of(report: Report) -> str:
    """For a terminal."""
    return "\n".join([report.conclusion, report.why, *_notes(report)])


def markdown_of(report: Report) -> str:
    """For a pull request or a job's summary."""
    rows = [("stable", f"`{report.stable}`"), ("candidate", f"`{report.candidate}`"), ("outcome", report.outcome)]
    rows += [("reason", report.reason), ("took", format_duration(report.ending.lasted))]
    notes = "\n".join(f"- {line}" for line in _notes(report))
    return f"### Rehearsal: {report.outcome}\n\n{report.why}\n\n{markdown_table(('', ''), rows)}\n\n{notes}\n"


def json_of(report: Report) -> dict[str, Any]:
    """For programs."""
    entry, users = report.ending.entry, report.ending.users
    return {
        "outcome": report.outcome,
        "reason": report.reason,
        "message": report.why,
        "exitCode": int(report.exit_code),
        "seconds": round(report.ending.lasted.total_seconds(), 1),
        "stable": report.stable,
        "candidate": report.candidate,
        "users": {
            "requests": users.requests,
            "failed": users.failed,
            "refused": users.refused,
            "unsent": users.unsent,
        },
        "exposure": {"requests": entry.requests, "failed": entry.failed} if entry else None,
        **({"agreement": report.ending.agreement.to_dict()} if report.ending.agreement else {}),
        "leftOut": list(report.left_out),
    }


def junit_of(report: Report) -> str:
    """One test case, which a rollback fails and an undecided end makes an error."""
    ended = {ExitCode.PROMOTED: Ended.PASSED, ExitCode.ROLLED_BACK: Ended.FAILED, ExitCode.UNDECIDED: Ended.ERROR}
    case = Case(
        suite="rehearsal",
        name=f"{report.candidate} is no worse than {report.stable}",
        ended=ended[report.exit_code],
        seconds=report.ending.lasted.total_seconds(),
        message=report.why,
        kind=report.reason,
        text=text_of(report),
    )
    return junit("tidegate rehearse", [case])


def _notes(report: Report) -> Iterator[str]:
    """What is told beside the verdict. That the answers differ is told by the verdict itself."""
    agreement = report.ending.agreement
    if agreement and agreement.answer is Agreement.AGREES:
        yield f"Before any traffic {agreement.sentence}."
    yield from _users(report)
    yield from report.left_out


def _users(report: Report) -> Iterator[str]:
    users, entry = report.ending.users, report.ending.entry
    yield f"Users sent {users.requests:,} requests, {users.failed:,} failed."
    if entry and entry.requests:
        yield (
            f"The candidate answered {entry.requests:,} of them, {entry.failed:,} failed "
            f"({format_percent(entry.failed / entry.requests)})."
        )
    if users.refused:
        yield f"{users.refused:,} were refused as requests that the model doesn't take; they count for neither model."
    if users.unsent:
        yield f"{users.unsent:,} were not sent: this machine can't keep up such a rate; give a lower one by --rate."
