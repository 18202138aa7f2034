"""The report counts what the client saw, and fails on anything the machinery did wrong."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tidegate_demo.chapters import CHAPTERS
from tidegate_demo.models import DemoModel, Models
from tidegate_demo.records import Exposure, Request, Tally, exposure, from_line, tally, to_line
from tidegate_demo.report import lines, report_on, table, write
from tidegate_demo.story import Telling, Told

VERSIONS = {f"digits-{number}": f"v{number}" for number in range(1, 7)}
CHAPTER_SECONDS = 60.0


def the_models() -> Models:
    def model(version: str) -> DemoModel:
        said = (0, None, 2) if version == "v3" else (0, 1, 2)
        return DemoModel(version, "a model", Path("x"), "00", 0.9, 0.0, said)

    return Models({version: model(version) for version in VERSIONS.values()}, ((0.0,) * 64,) * 3, (0, 1, 2))


def answered(at: float, revision: str, image: int = 0, label: int | None = None, status: int = 200) -> Request:
    return Request(at, image, 0.0, 0.0, status, revision, image if label is None and status == 200 else label)


def the_telling() -> Telling:
    """Six chapters of a minute each; v3 answers three requests between 125 and 129 s, two of them badly."""
    told = [
        Told(
            chapter,
            True,
            "as promised",
            CHAPTER_SECONDS * number,
            CHAPTER_SECONDS * number + 50,
            f"digits-{number + 1}",
        )
        for number, chapter in enumerate(CHAPTERS)
    ]
    good = [answered(float(at), "digits-1" if at < 60 else "digits-2", at % 3) for at in range(360)]
    faulty = [
        answered(125.0, "digits-3", 1, status=500),
        answered(127.0, "digits-3", 0),
        answered(128.0, "digits-3", 1, status=500),
        answered(129.0, "digits-3", 2),
    ]
    return Telling(0.0, told, dict(VERSIONS), [*good, *faulty])


def failed(telling: Telling) -> dict[str, str]:
    return {check.name: check.seen for check in report_on(telling, the_models()).checks if not check.passed}


def test_a_good_story_passes() -> None:
    report = report_on(the_telling(), the_models())
    assert failed(the_telling()) == {}
    assert report.passed
    assert [part.load.sent for part in report.chapters] == [60, 60, 64, 60, 60, 60]
    assert report.faulty == Exposure(4, 2, 3.0, 4.0)


@pytest.mark.parametrize(
    ("request_made", "expected"),
    [
        pytest.param(
            Request(10.0, 0, 0.0, 10.0, 0, fault="timeout"), {"no request lost": "1 of 365 (1 timeout)"}, id="a timeout"
        ),
        pytest.param(answered(10.0, "", status=503), {"no request lost": "1 of 365 (1 status 503)"}, id="a 503"),
        pytest.param(answered(10.0, "digits-1", 0, label=9), {"no answer wrong": "1 of 365"}, id="another digit"),
        pytest.param(
            answered(10.0, "digits-1", status=500), {"model errors from v3 alone": "1 from others"}, id="v1 errs"
        ),
        pytest.param(
            answered(141.0, "digits-3", 1, status=500),
            {"v3 answers badly for at most 15 s": "16.0 s"},
            id="v3 errs for too long",
        ),
    ],
)
def test_one_bad_request_fails_the_story(request_made: Request, expected: dict[str, str]) -> None:
    telling = the_telling()
    telling.requests.append(request_made)
    assert failed(telling) == expected


def test_a_broken_chapter_and_those_after_it_fail() -> None:
    telling = the_telling()
    telling.told = [*telling.told[:4], replace(telling.told[4], kept=False, sentence="not within 150 s")]
    assert failed(telling) == {
        "v5 is promoted": "not within 150 s",
        "v6 is promoted": "the story didn't get there",
    }


def test_a_story_that_was_never_told_fails_and_can_be_printed() -> None:
    report = report_on(Telling(0.0), the_models())
    assert not report.passed
    assert report.total == Tally()
    assert lines(report)


def test_the_report_is_written_and_printed(tmp_path: Path) -> None:
    telling, models = the_telling(), the_models()
    report = report_on(telling, models)
    write(tmp_path / "build" / "report.json", report, telling, models)
    written = json.loads((tmp_path / "build" / "report.json").read_text())
    assert written["passed"] is True
    assert [chapter["kept"] for chapter in written["chapters"]] == [True] * 6
    assert written["exposure"]["v3"]["requests"] == 4
    assert written["total"] | {"p50": None, "p99": None} == {
        "sent": 364,
        "ok": 362,
        "wrong": 0,
        "model_errors": 2,
        "lost": 0,
        "right_digits": 362,
        "p50": None,
        "p99": None,
        "lost_because": {},
        "accuracy": 1.0,
    }
    console = Console(file=io.StringIO(), width=140)
    console.print(table(report))
    assert isinstance(console.file, io.StringIO)
    assert "✔ v3 fails on one image in five and is rolled back" in console.file.getvalue()


def test_an_honest_mistake_is_not_wrong_and_lowers_the_accuracy() -> None:
    seen = tally([answered(0.0, "digits-1", 0, label=9)], {"digits-1": (9, 1, 2)}, (0, 1, 2))
    assert (seen.ok, seen.wrong, seen.accuracy) == (1, 0, 0.0)


def test_a_revision_that_never_fails_has_no_bad_seconds() -> None:
    assert exposure([answered(0.0, "digits-4")], "digits-4") == Exposure(1, 0, None, None)


def test_a_request_is_read_back_as_it_was_written() -> None:
    request = Request(1.5, 7, 0.25, 0.5, 200, "digits-1", 3, "")
    assert from_line(to_line(request)) == request
