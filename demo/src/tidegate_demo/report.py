"""What is left of a story: the table at its end, and report.json for machines. Pure, but for the writing.

It judges the machinery, and strictly: one lost request, one wrong answer or an error from any but the faulty model
fails the demo.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from tidegate_demo.chapters import CHAPTERS, Chapter
from tidegate_demo.models import DemoModel, Models
from tidegate_demo.panel import milliseconds
from tidegate_demo.records import Exposure, Request, Tally, exposure, tally
from tidegate_demo.story import Telling, Told, answers_by_revision

FAULTY = "v3"
SLOW = "v4"
MOST_BAD_SECONDS = 15.0


@dataclass(frozen=True)
class ChapterReport:
    told: Told
    load: Tally


@dataclass(frozen=True)
class Check:
    name: str
    passed: bool
    seen: str


@dataclass(frozen=True)
class Report:
    """`faulty` and `slow` are what v3 and v4 did to users; None where the story didn't get that far."""

    chapters: tuple[ChapterReport, ...]
    total: Tally
    faulty: Exposure | None
    slow: Exposure | None
    checks: tuple[Check, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)


def report_on(telling: Telling, models: Models, chapters: Sequence[Chapter] = CHAPTERS) -> Report:
    answers = answers_by_revision(models, telling.versions)
    requests = telling.requests
    total = tally(requests, answers, models.labels)
    parts = tuple(
        ChapterReport(told, tally(_during(told, telling.told, requests), answers, models.labels))
        for told in telling.told
    )
    faulty, slow = (_exposure_of(version, telling) for version in (FAULTY, SLOW))
    strangers = total.model_errors - (faulty.bad if faulty else 0)
    checks = (
        *(_chapter_check(chapter, telling) for chapter in chapters),
        Check("no request lost", total.lost == 0 and total.sent > 0, _lost(total)),
        Check("no answer wrong", total.wrong == 0, f"{total.wrong} of {total.sent:,}"),
        Check(f"model errors from {FAULTY} alone", strangers <= 0, f"{max(0, strangers)} from others"),
        _bad_seconds_check(faulty),
    )
    ended = telling.told[-1].ended if telling.told else telling.began
    return Report(parts, total, faulty, slow, checks, ended - telling.began)


def _during(told: Told, everything: Sequence[Told], requests: Sequence[Request]) -> list[Request]:
    """A chapter's requests reach to the next chapter's beginning, so that none falls between two."""
    later = [other.began for other in everything if other.began > told.began]
    until = min(later, default=float("inf"))
    return [request for request in requests if told.began <= request.scheduled < until]


def _exposure_of(version: str, telling: Telling) -> Exposure | None:
    for told in telling.told:
        if told.chapter.version == version and told.revision:
            return exposure(telling.requests, told.revision)
    return None


def _chapter_check(chapter: Chapter, telling: Telling) -> Check:
    for told in telling.told:
        if told.chapter.version == chapter.version:
            return Check(f"{chapter.version} {chapter.promise.value}", told.kept, told.sentence)
    return Check(f"{chapter.version} {chapter.promise.value}", False, "the story didn't get there")


def _lost(total: Tally) -> str:
    because = ", ".join(f"{count} {why}" for why, count in sorted(total.lost_because.items()))
    return f"{total.lost} of {total.sent:,}" + (f" ({because})" if because else "")


def _bad_seconds_check(faulty: Exposure | None) -> Check:
    name = f"{FAULTY} answers badly for at most {MOST_BAD_SECONDS:.0f} s"
    if faulty is None or faulty.first_to_last_bad is None:
        return Check(name, False, f"{FAULTY} was never seen to fail")
    return Check(name, faulty.first_to_last_bad <= MOST_BAD_SECONDS, f"{faulty.first_to_last_bad:.1f} s")


# --- for people -------------------------------------------------------------------------------------------------------


def table(report: Report) -> Table:
    made = Table(title="Requests, as the client saw them", title_justify="left")
    made.add_column("chapter")
    for heading in ("seconds", "sent", "lost", "wrong", "model errors", "p50", "p99", "accuracy"):
        made.add_column(heading, justify="right")
    for part in report.chapters:
        mark = "✔" if part.told.kept else "✘"
        made.add_row(
            f"{mark} {part.told.chapter.title}", f"{part.told.ended - part.told.began:.0f}", *_cells(part.load)
        )
    made.add_section()
    made.add_row("all", f"{report.seconds:.0f}", *_cells(report.total), style="bold")
    return made


def _cells(load: Tally) -> tuple[str, ...]:
    return (
        f"{load.sent:,}",
        str(load.lost),
        str(load.wrong),
        str(load.model_errors),
        milliseconds(load.p50),
        milliseconds(load.p99),
        "–" if load.accuracy is None else f"{load.accuracy:.1%}",
    )


def lines(report: Report) -> tuple[str, ...]:
    """What the table can't hold: the bad models' exposure, and what passed."""
    checks = (f"{'✔' if check.passed else '✘'} {check.name}: {check.seen}" for check in report.checks)
    return (*_exposure_lines(FAULTY, report.faulty), *_exposure_lines(SLOW, report.slow), *checks)


def _exposure_lines(version: str, seen: Exposure | None) -> tuple[str, ...]:
    if seen is None:
        return ()
    if seen.first_to_last_bad is None:
        return (f"{version}: {seen.requests} requests exposed, none answered with an error",)
    return (
        f"{version}: {seen.requests} requests exposed, {seen.bad} answered with an error; first bad answer to last "
        f"{seen.first_to_last_bad:.1f} s, to zero traffic {seen.first_bad_to_zero_traffic:.1f} s",
    )


# --- for machines -----------------------------------------------------------------------------------------------------


def to_json(report: Report, telling: Telling, models: Models) -> dict[str, Any]:
    """Times are Unix seconds, durations and latencies seconds."""
    return {
        "passed": report.passed,
        "interrupted": telling.interrupted,
        "began": telling.began,
        "seconds": report.seconds,
        "checks": [asdict(check) for check in report.checks],
        "chapters": [_chapter_json(part) for part in report.chapters],
        "total": _tally_json(report.total),
        "exposure": {
            version: asdict(seen) if seen else None for version, seen in ((FAULTY, report.faulty), (SLOW, report.slow))
        },
        "revisions": telling.versions,
        "models": [_model_json(model) for model in models.versions.values()],
    }


def _chapter_json(part: ChapterReport) -> dict[str, Any]:
    told = part.told
    return {
        "version": told.chapter.version,
        "title": told.chapter.title,
        "revision": told.revision,
        "kept": told.kept,
        "outcome": told.sentence,
        "began": told.began,
        "ended": told.ended,
        "load": _tally_json(part.load),
    }


def _tally_json(load: Tally) -> dict[str, Any]:
    return asdict(load) | {"lost_because": dict(load.lost_because), "accuracy": load.accuracy}


def _model_json(model: DemoModel) -> dict[str, Any]:
    return {
        "version": model.version,
        "about": model.about,
        "sha256": model.sha256,
        "accuracy": model.accuracy,
        "failing": model.failing,
    }


def write(path: Path, report: Report, telling: Telling, models: Models) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(to_json(report, telling, models), indent=2) + "\n")
