"""Draws the results as Markdown that reads as well in a terminal. What is missed stands out. Pure."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import assert_never

from benchmarks.markdown import UNKNOWN, table
from benchmarks.releases.goals import Goal, is_as_promised, judge
from benchmarks.releases.results import Measured, Release
from benchmarks.releases.scenarios import Kind, Scenario

MISSED = "**MISSED**"
MARK = " !"
Columns = Mapping[str, Callable[[Release], str]]


def report(everything: Sequence[Measured], machine: str) -> str:
    """Everything that there is to say about one run."""
    parts = [goals(judge(everything)), *(_section(measured) for measured in everything), f"Measured on {machine}."]
    return "\n\n".join(parts) + "\n"


def goals(judged: Sequence[Goal]) -> str:
    """Each promise, what the commit before shows beside it, and whether it was kept."""
    compared = any(goal.before for goal in judged)
    before, head = ([goal.before or UNKNOWN for goal in judged], ["before"]) if compared else ([], [])
    lines = [
        [goal.scenario, goal.words, goal.seen, *before[at : at + 1], "met" if goal.met else MISSED]
        for at, goal in enumerate(judged)
    ]
    return table([["candidate", "goal", "seen", *head, ""], *lines], labels=4)


def line(measured: Measured, release: Release) -> str:
    """One release in one line, for whoever waits."""
    cells = (f"{name} {cell(release)}" for name, cell in _columns(measured.scenario.kind).items())
    return f"{_how(measured, release)}; " + ", ".join(cells)


def _section(measured: Measured) -> str:
    parts = [f"### {measured.scenario.full_title}", _about(measured.scenario), _table(measured), _summary(measured)]
    return "\n\n".join(part for part in (*parts, _notes(measured)) if part)


def _about(scenario: Scenario) -> str:
    weights = " % and ".join(map(str, scenario.weights))
    begun = f"{scenario.releases} releases under {scenario.rate:,} requests a second, by {weights} % of them. "
    match scenario.kind:
        case Kind.UNSEEN:
            return f"{begun}As failing; Prometheus is away from before each release until its end."
        case Kind.FAILING | Kind.BUSY:
            return f"{begun}The candidate fails on {scenario.failing_share:.0%} of the requests, stable on none."
        case Kind.SLOW:
            return f"{begun}The candidate takes 100 ms of a core longer for each answer; no limit is set by hand."
        case Kind.EQUAL:
            return f"{begun}Stable and candidate fail on the same {scenario.failing_share:.1%} of the requests."
        case _ as unhandled:
            assert_never(unhandled)


def _table(measured: Measured) -> str:
    columns = _columns(measured.scenario.kind)
    rows = [
        [str(release.number), _how(measured, release), *(cell(release) for cell in columns.values())]
        for release in measured.releases
    ]
    return table([["release", "ended", *columns], *rows])


def _columns(kind: Kind) -> Columns:
    all_sent: Columns = {"all requests": lambda each: f"{each.sent:,}", "lost": _lost}
    match kind:
        case Kind.FAILING | Kind.UNSEEN | Kind.BUSY:
            return {
                "first to last bad answer": lambda each: _seconds(each.first_to_last_bad),
                "first bad answer to zero traffic": lambda each: _seconds(each.first_bad_to_zero_traffic),
                "users who saw one": lambda each: str(each.bad),
                "its answers": lambda each: str(each.requests),
                **all_sent,
            }
        case Kind.SLOW:
            return {
                "first to last answer": lambda each: _seconds(each.first_to_last_answer),
                "its answers": lambda each: str(each.requests),
                "slower by": lambda each: UNKNOWN if each.slower_by is None else f"{each.slower_by * 1000:.0f} ms",
                **all_sent,
            }
        case Kind.EQUAL:
            return {
                "after apply": lambda each: _seconds(each.seconds),
                "after its first answer": lambda each: _seconds(each.observed),
                "its answers": lambda each: str(each.requests),
                "its failures": lambda each: str(each.bad),
                **all_sent,
            }
        case _ as unhandled:
            assert_never(unhandled)


def _summary(measured: Measured) -> str:
    """The figures that the goals are about; times only of releases that ended as they had to."""
    releases = measured.releases
    right = [release for release in releases if is_as_promised(measured, release)]
    lines = []
    match measured.scenario.kind:
        case Kind.FAILING | Kind.UNSEEN | Kind.BUSY:
            lines.append(_spread("First to last bad answer", [each.first_to_last_bad for each in right], " s"))
            lines.append(_spread("Users who saw a bad answer", [each.bad for each in releases], ""))
        case Kind.SLOW:
            lines.append(_spread("First to last answer", [each.first_to_last_answer for each in right], " s"))
        case Kind.EQUAL:
            lines.append(_spread("From apply to promotion", [each.seconds for each in right], " s"))
        case _ as unhandled:
            assert_never(unhandled)
    because = "".join(f", {count} × {cause}" for cause, count in sorted(measured.lost_because.items()))
    return "\n".join([*lines, f"- Requests: {measured.sent:,} in all, {measured.lost} lost{because}"])


def _spread(what: str, values: Sequence[float | None], unit: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return f"- {what}: nothing was seen"
    digits = 1 if unit else 0
    listed = ", ".join(f"{value:.{digits}f}" for value in known)
    return f"- {what}: median {median(known):.1f}{unit}, at most {max(known):.{digits}f}{unit} ({listed})"


def _notes(measured: Measured) -> str:
    """What the releases that are marked did instead, and why some are missing."""
    odd = [release for release in measured.releases if not is_as_promised(measured, release)]
    lines = [f"- {MISSED} release {release.number}: {release.message}" for release in odd]
    if measured.trouble:
        lines.append(f"- {MISSED} ended early: {measured.trouble}")
    return "\n".join(lines)


def _how(measured: Measured, release: Release) -> str:
    said = ", ".join(filter(None, (release.outcome, release.reason))) or "not in time"
    return said if is_as_promised(measured, release) else said + MARK


def _lost(release: Release) -> str:
    return f"{release.lost}{MARK}" if release.lost else "0"


def _seconds(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.1f} s"
