"""One ending, told to people, programs, pull requests and CI systems alike."""

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from tidegate.model.reasons import ConditionType
from tidegate.model.status import Condition, HistoryEntry, Status
from tidegate.rehearsal.engine import Ending
from tidegate.rehearsal.load import Tally
from tidegate.rehearsal.report import ExitCode, Report, json_of, junit_of, markdown_of, text_of

AT = datetime(2026, 5, 1, tzinfo=UTC)
WHY = "candidate was rolled back: error rate 28% (9 of 32 requests) | <bad>"
HELD = "waiting for about 2,100 more candidate requests"
USERS = Tally(requests=4936, failed=9, refused=0, unsent=0)


def report(outcome: str | None, users: Tally = USERS) -> Report:
    entry = outcome and HistoryEntry("candidate", outcome, "ErrorRateWorse", WHY, AT, AT, requests=32, failed=9)
    waits = Condition(ConditionType.RECONCILING, "True", "MoreRequestsNeeded", HELD, AT)
    status = Status(message=HELD, conditions=(waits,))
    return Report(
        "v1.onnx", "v2.onnx", Ending(AT, entry or None, status, users, timedelta(seconds=14.6), None), ["Left."]
    )


@pytest.mark.parametrize(
    ("outcome", "code", "begins"),
    [
        ("Promoted", ExitCode.PROMOTED, "The candidate was promoted after 15s."),
        ("RolledBack", ExitCode.ROLLED_BACK, "The candidate was rolled back after 15s."),
        (None, ExitCode.UNDECIDED, "It was undecided when its time was over, after 15s."),
    ],
)
def test_the_outcome_is_the_exit_code_and_the_first_line(outcome: str | None, code: ExitCode, begins: str) -> None:
    told = report(outcome)
    assert (told.exit_code, text_of(told).splitlines()[0]) == (code, begins)


def test_people_read_the_sentence_and_what_users_got() -> None:
    assert text_of(report("RolledBack")).splitlines()[1:] == [
        WHY,
        "Users sent 4,936 requests, 9 failed.",
        "The candidate answered 32 of them, 9 failed (28.1%).",
        "Left.",
    ]


def test_a_machine_that_is_too_slow_and_requests_that_do_not_fit_are_told() -> None:
    lines = text_of(report(None, Tally(10, 0, 2, 3))).splitlines()
    assert [line.split(":")[0] for line in lines if "refused" in line or "not sent" in line] == [
        "2 were refused as requests that the model doesn't take; they count for neither model.",
        "3 were not sent",
    ]


def test_an_undecided_end_says_what_it_waits_for() -> None:
    told = json_of(report(None))
    assert (told["outcome"], told["reason"], told["message"], told["exitCode"], told["exposure"]) == (
        "Undecided",
        "MoreRequestsNeeded",
        HELD,
        124,
        None,
    )


@pytest.mark.parametrize(
    ("outcome", "counts", "child"),
    [("Promoted", ("0", "0"), None), ("RolledBack", ("1", "0"), "failure"), (None, ("0", "1"), "error")],
)
def test_junit_has_one_case_that_fails_with_the_sentence(
    outcome: str | None, counts: tuple[str, str], child: str | None
) -> None:
    suite = ElementTree.fromstring(junit_of(report(outcome)).encode())  # noqa: S314 - our own text
    (case,) = suite
    assert (suite.attrib["failures"], suite.attrib["errors"]) == counts
    assert case.attrib["name"] == "v2.onnx is no worse than v1.onnx"
    assert [each.tag for each in case] == ([child] if child else []) + ["system-out"]
    if child:
        assert case[0].attrib["message"] == (WHY if child == "failure" else HELD)


def test_markdown_has_the_sentence_and_a_table() -> None:
    text = markdown_of(report("RolledBack"))
    assert text.startswith("### Rehearsal: RolledBack\n")
    assert "| reason | ErrorRateWorse |" in text
