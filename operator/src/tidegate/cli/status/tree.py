"""A rollout as a tree for a terminal, of a RolloutView and the time. Pure but for rich's shapes."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from tidegate.cli.common.ages import age
from tidegate.model.evidence import QueryState
from tidegate.model.reasons import ConditionType, Outcome, Phase
from tidegate.model.status import QueryView
from tidegate.view.pod_view import PodView
from tidegate.view.rollout_view import EvidenceView, HistoryView, RevisionView, Role, RolloutView, StepView

BAR = 24
"""Characters of a whole bar."""
SHOWN = 5
"""Of the history; `tidegate history` has all."""
GOOD, DOUBTFUL, BAD, QUIET = "green", "yellow", "red", "bright_black"
PHASES = {Phase.LIVE: GOOD, Phase.HELD: DOUBTFUL, Phase.PAUSED: DOUBTFUL}
PHASES |= dict.fromkeys((Phase.ROLLED_BACK, Phase.FAILED, Phase.INVALID), BAD)
STATES = {QueryState.SUCCESSFUL: GOOD, QueryState.FAILED: BAD}
CAUTIONS = (ConditionType.ROUTE_CAUTION, ConditionType.REFERENCE_CAUTION, ConditionType.INPUT_CAUTION)
OUTCOMES = {Outcome.PROMOTED: GOOD, Outcome.ROLLED_BACK: BAD}


@dataclass(frozen=True)
class Symbols:
    """What the terminal's encoding can show."""

    full: str = "━"
    rest: str = "─"
    good: str = "✔"
    bad: str = "✘"
    here: str = "▶"
    later: str = "·"

    @classmethod
    def of(cls, encoding: str) -> "Symbols":
        """Plain ones where there is no Unicode."""
        return cls() if encoding.lower().startswith("utf") else cls("=", "-", "+", "x", ">", ".")


def tree_of(view: RolloutView, now: datetime, symbols: Symbols, notes: Iterable[str] = ()) -> RenderableType:
    """The headline, the status' own sentence, the weights, the evidence, the revisions with their pods, the history."""
    parts: list[RenderableType] = [_headline(view, now), Text(view.message or "the operator hasn't looked yet")]
    parts += [Text(note, DOUBTFUL) for note in _notes(view, notes)]
    if view.weights or view.analysis:
        parts += [Text(""), *_steps(view, symbols), *_weights(view, symbols), *_evidence(view, symbols)]
    parts += [Text(""), *(_revision(each, now, symbols) for each in view.revisions)]
    if view.history:
        parts.append(_history(view.history, now))
    return Group(*parts)


def _headline(view: RolloutView, now: datetime) -> Text:
    text = Text.assemble((f"{view.namespace}/{view.name}", "bold"), "  ", (view.phase or "New", _of_phase(view.phase)))
    if view.step is not None:
        text.append(f"  {_place(view)}")
        text.append(f", {age(view.step_started_at, now)} at this step", QUIET)
    return text


def _place(view: RolloutView) -> str:
    if view.step == 0:
        return "bringing up pods"
    return f"step {view.progress}" if view.progress else f"step {view.step}"


def _of_phase(phase: str) -> str:
    return next((style for each, style in PHASES.items() if each == phase), "cyan")


def _notes(view: RolloutView, notes: Iterable[str]) -> Iterable[str]:
    if not view.up_to_date and view.phase:
        yield "The spec has changed since: what follows is the operator's answer to the one before."
    yield from (f"Asked for, and not answered yet: {each}" for each in view.controls)
    yield from notes


def _steps(view: RolloutView, symbols: Symbols) -> Iterable[Text]:
    if view.step is None or not view.steps:
        return
    text = Text.assemble((f"{'steps':20}", QUIET))
    for each in (*view.steps, *_last(view)):
        text.append_text(_step(each, view.step, symbols))
    yield text


def _last(view: RolloutView) -> list[StepView]:
    """The step that a canary's list doesn't name."""
    return [StepView(len(view.steps) + 1, "100%", 100)] if view.strategy == "canary" else []


def _step(each: StepView, at: int, symbols: Symbols) -> Text:
    if each.number < at:
        return Text(f" {symbols.good} {each.text} ", GOOD)
    if each.number == at:
        return Text(f" {symbols.here} {each.text} ", "bold cyan")
    return Text(f" {symbols.later} {each.text} ", QUIET)


def _weights(view: RolloutView, symbols: Symbols) -> Iterable[Text]:
    """The candidate's share, as it is wanted, as the routers have it, and as it was counted."""
    if view.weights is None:
        return
    shares = {"wanted": view.weights.wanted, "applied": view.weights.applied, "observed": view.weights.observed}
    for number, (name, share) in enumerate(shares.items()):
        said = "not known" if share is None else f"{share:g} %"
        yield _line("weight" if number == 0 else "", name, _bar((share or 0) / 100, "cyan", symbols), said)


def _evidence(view: RolloutView, symbols: Symbols) -> Iterable[Text]:
    """How far the evidence is on its way to a threshold, in powers of ten."""
    if view.analysis is None:
        return
    sides = {"rollback": (view.analysis.rollback, BAD), "promotion": (view.analysis.promotion, GOOD)}
    for number, (name, (evidence, style)) in enumerate(sides.items()):
        said = evidence.text if evidence else "none yet"
        yield _line("evidence" if number == 0 else "", name, _bar(_way(evidence), style, symbols), said)
    for query in view.analysis.queries:
        yield _query(query)
    if view.analysis.message and view.analysis.message not in view.message:
        yield Text.assemble((f"{'verdict':10} ", QUIET), f"{view.analysis.verdict}: {view.analysis.message}")
    if view.analysis.caution:
        yield _caution(view.analysis.caution)
    for each in view.conditions:
        if each.type in CAUTIONS and each.message not in (view.message, view.analysis.message):
            yield _caution(each.message)


def _caution(message: str) -> Text:
    return Text.assemble((f"{'caution':10} ", QUIET), (message, DOUBTFUL))


def _query(query: QueryView) -> Text:
    """`query accuracy Failed (dry run): gives 0.5, below the least that is allowed, 0.9`."""
    state = f"{query.state} (dry run)" if query.dry_run else query.state
    style = QUIET if query.dry_run else next((style for each, style in STATES.items() if each == query.state), DOUBTFUL)
    return Text.assemble((f"{'query':10} ", QUIET), f"{query.name} ", (state, style), f": {query.message}")


def _line(what: str, name: str, bar: Text, said: str) -> Text:
    return Text.assemble((f"{what:10} {name:9} ", QUIET), bar, f"  {said}")


def _way(evidence: EvidenceView | None) -> float:
    if evidence is None or evidence.value <= 1 or evidence.threshold <= 1:
        return 0.0
    return min(1.0, math.log(evidence.value) / math.log(evidence.threshold))


def _bar(share: float, style: str, symbols: Symbols) -> Text:
    full = round(min(max(share, 0.0), 1.0) * BAR)
    if share > 0:
        full = max(1, full)
    return Text.assemble((symbols.full * full, style), (symbols.rest * (BAR - full), QUIET))


def _revision(revision: RevisionView, now: datetime, symbols: Symbols) -> Tree:
    style = {Role.STABLE: "bold", Role.CANDIDATE: "bold cyan"}.get(revision.role, QUIET)
    label = Text.assemble((f"{revision.role.value:9} ", QUIET), (revision.name, style), f"  {revision.ready} ready")
    tree = Tree(label, guide_style=QUIET)
    if revision.uri:
        tree.add(Text(revision.uri, QUIET, overflow="fold"))
    for pod in revision.pods:
        tree.add(_pod(pod, now, symbols))
    return tree


def _pod(pod: PodView, now: datetime, symbols: Symbols) -> Text:
    mark = (symbols.good, GOOD) if pod.ready else (symbols.later if not pod.problem else symbols.bad, DOUBTFUL)
    times = "1 restart" if pod.restarts == 1 else f"{pod.restarts} restarts"
    text = Text.assemble(mark, f" {pod.name}  {pod.state}  ", (times, DOUBTFUL if pod.restarts else QUIET))
    text.append(f"  {age(pod.created_at, now)}", QUIET)
    if pod.problem:
        text.append(f"\n  {pod.problem}", BAD)
    return text


def _history(history: tuple[HistoryView, ...], now: datetime) -> Tree:
    tree = Tree(Text("history", QUIET), guide_style=QUIET)
    for each in history[:SHOWN]:
        tree.add(_past(each, now))
    if len(history) > SHOWN:
        tree.add(Text(f"{len(history) - SHOWN} older ones: tidegate history", QUIET))
    return tree


def _past(each: HistoryView, now: datetime) -> Text:
    style = next((style for outcome, style in OUTCOMES.items() if outcome == each.outcome), DOUBTFUL)
    text = Text.assemble(f"{each.number} ", (f"{each.outcome:10}", style), f" {each.revision}")
    text.append(f"  {age(each.finished_at, now)} ago, {each.most_weight} %  {each.reason}", QUIET)
    if each.requests:
        text.append(f"  {each.failed:,}/{each.requests:,} failed", QUIET)
    return text
