"""What came of all checks: a table for people, JSON, Markdown for a pull request, JUnit for a CI system. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.rehearsal.formats import Case, Ended, junit, markdown_table
from tidegate.verification.row import Row, State

PASSED, WRONG = 0, 1


@dataclass(frozen=True)
class Report:
    """`subject` is what was looked at, as it was given; `strict`: what it lacks is a failure too."""

    subject: str
    rows: Sequence[Row]
    strict: bool = False

    @property
    def exit_code(self) -> int:
        """1 where something has failed."""
        return WRONG if any(self.is_wrong(row) for row in self.rows) else PASSED

    def is_wrong(self, row: Row) -> bool:
        """Whether it fails the whole."""
        return row.state is State.FAILED or (self.strict and row.state is State.LACKS)

    @property
    def conclusion(self) -> str:
        """How many of what."""
        count = Counter(row.state for row in self.rows)
        told = ", ".join(f"{count[state]} {state}" for state in State if count[state])
        return f"{self.subject}: {told}."


def line_of(row: Row) -> str:
    """For a terminal."""
    return f"{row.state.value:9}  {row.check}: {row.what}"


def json_of(report: Report) -> dict[str, Any]:
    """For programs."""
    return {
        "subject": report.subject,
        "exitCode": report.exit_code,
        "checks": [
            {"check": row.check, "state": row.state.value, "what": row.what, "seconds": round(row.seconds, 4)}
            for row in report.rows
        ],
    }


def markdown_of(report: Report) -> str:
    """For a pull request or a job's summary."""
    outcome = "failed" if report.exit_code else "passed"
    rows = [(row.check, row.state.value, row.what) for row in report.rows]
    return f"### Checks: {outcome}\n\n{report.conclusion}\n\n{markdown_table(('check', '', 'what was seen'), rows)}\n"


def junit_of(report: Report) -> str:
    """A test case for each check; what the server lacks and what wasn't asked is skipped."""
    return junit("tidegate verify", [_case(report, row) for row in report.rows])


def _case(report: Report, row: Row) -> Case:
    if report.is_wrong(row):
        ended = Ended.FAILED
    else:
        ended = Ended.PASSED if row.state is State.OK else Ended.SKIPPED
    message = f"{row.state.value}: {row.what}"
    return Case("verify", row.check, ended, row.seconds, message, text="" if ended is Ended.SKIPPED else row.what)
