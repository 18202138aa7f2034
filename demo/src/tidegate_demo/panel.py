"""The live panel: what is going on right now, drawn from one frozen view. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tidegate_demo.chapters import Broken, Chapter, Kept, State, Waiting
from tidegate_demo.records import Tally
from tidegate_demo.seen import Seen

BAR_WIDTH = 24
EVENTS_SHOWN = 5


@dataclass(frozen=True)
class SeenEvent:
    """A Kubernetes Event; `at` as the API gives it."""

    at: str
    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True)
class View:
    """Everything the panel shows. `recent` tallies the last seconds of the load, `total` all of it."""

    chapters: tuple[tuple[Chapter, State | None], ...]
    elapsed: float
    seen: Seen
    versions: Mapping[str, str] = field(default_factory=dict)
    observed: Mapping[str, float] = field(default_factory=dict)
    recent: Tally = field(default_factory=Tally)
    recent_seconds: float = 5.0
    total: Tally = field(default_factory=Tally)
    events: tuple[SeenEvent, ...] = ()
    note: str = ""


def draw(view: View) -> RenderableType:
    parts: list[RenderableType] = [_chapters(view), _revisions(view), _verdict(view), _load(view), _events(view)]
    if view.note:
        parts.append(Text(view.note, style="bold yellow"))
    return Panel(Group(*parts), title="Tidegate", border_style="cyan")


def _chapters(view: View) -> Text:
    text = Text()
    for chapter, state in view.chapters:
        mark, style = _mark(state)
        running = isinstance(state, Waiting)
        text.append(f"{mark} {chapter.title}", style=style)
        text.append(f"  {view.elapsed:.0f} s\n" if running else "\n", style="dim")
    return text


def _mark(state: State | None) -> tuple[str, str]:
    if isinstance(state, Kept):
        return "✔", "green"
    if isinstance(state, Broken):
        return "✘", "bold red"
    return ("▶", "bold") if state is not None else ("·", "dim")


def _revisions(view: View) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for heading in ("", "revision", "role", "ready", "wanted", "", "observed", ""):
        table.add_column(heading, justify="right" if heading in {"ready", ""} else "left")
    seen = view.seen
    weight = seen.weight or 0
    for role, revision, wanted in (("stable", seen.stable, 100 - weight), ("candidate", seen.candidate, weight)):
        if revision is None:
            continue
        observed = 100 * view.observed.get(revision.revision, 0.0)
        table.add_row(
            Text(revision.version, style="bold"),
            revision.revision,
            role,
            str(revision.ready),
            _bar(wanted),
            f"{wanted} %",
            _bar(observed),
            f"{observed:.0f} %",
        )
    return table


def _bar(percent: float) -> ProgressBar:
    return ProgressBar(total=100, completed=percent, width=BAR_WIDTH)


def _verdict(view: View) -> Text:
    seen = view.seen
    step = f"{seen.phase or '–'}{f' {seen.progress}' if seen.progress else ''}"
    text = Text(f"\n{step}", style="bold")
    if seen.worse or seen.acceptable:
        text.append(f"   evidence: worse {seen.worse or '–'}, acceptable {seen.acceptable or '–'}", style="not bold")
    text.append(f"\n{seen.stalled or seen.analysis or seen.message}\n", style="not bold")
    return text


def _load(view: View) -> Text:
    recent, total = view.recent, view.total
    text = Text(f"{recent.sent / view.recent_seconds:.0f} requests/s   ")
    text.append(f"p50 {milliseconds(recent.p50)}   p99 {milliseconds(recent.p99)}   ")
    text.append(f"model errors {recent.model_errors / view.recent_seconds:.1f}/s\n")
    text.append(f"in all: {total.sent:,} sent, {total.model_errors} model errors, ")
    text.append(f"{total.wrong} wrong, {total.lost} lost\n", style="bold red" if total.wrong + total.lost else "green")
    return text


def milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{1000 * seconds:.1f} ms"


def _events(view: View) -> Text:
    text = Text()
    for event in view.events[-EVENTS_SHOWN:]:
        text.append(f"{event.at[11:19]} ", style="dim")
        text.append(f"{event.reason} ", style="yellow" if event.warning else "cyan")
        text.append(f"{event.message}\n")
    return text


def change_line(seen: Seen) -> str:
    """What matters of a look, in one plain line; the story prints it when it differs from the last."""
    candidate = f"{seen.candidate.version} {seen.weight or 0} %" if seen.candidate else "no candidate"
    stable = f"{seen.stable.version} stable" if seen.stable else "nothing stable"
    step = f" step {seen.progress}" if seen.progress else ""
    return escape(f"{stable}, {candidate}, {seen.phase or 'no phase'}{step}")
