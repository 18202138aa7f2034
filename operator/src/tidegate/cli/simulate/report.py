"""What played rollouts say about one that is to come: a table and a sentence, or one JSON document. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tidegate.cli.common.columns import Cell, Column, Style, lines_of, styled
from tidegate.model.spec import BlueGreen, ModelDeploymentSpec
from tidegate.model.units import format_duration, format_percent
from tidegate.simulation.engine import OutcomeSummary, Scenario, steps_of
from tidegate.simulation.synthetic_traffic import Behaviour

COLUMNS = (
    Column("outcome", left=True),
    Column("share"),
    Column("median", "time"),
    Column("90%", "time"),
    Column("median", "candidate's requests"),
    Column("90%", "candidate's requests"),
    Column("median", "bad answers"),
    Column("90%", "bad answers"),
    Column("most frequent reason", left=True),
)
NAMES = {"RolledBack": "rolled back", "Promoted": "promoted", "Inconclusive": "inconclusive"}
STYLES = {"RolledBack": Style.BAD, "Promoted": Style.GOOD, "Inconclusive": Style.DOUBTFUL}
NEARLY_ALL = 0.9
ADVICE = {
    "NoRequests": "without requests nothing is decided",
    "NoLatencyToCompareWith": "stable has too few requests to be compared with",
    "MinDuration": "the steps' minDuration take longer than that",
    "SuspicionOfWorse": "it looks worse, and not surely enough to go back",
}
MORE_TRAFFIC = (
    "raise the weight of the steps or the deadline, or widen analysis.errorRate.accept and analysis.latency.accept"
)


@dataclass(frozen=True)
class Simulated:
    """What was played, and how it ended."""

    spec: ModelDeploymentSpec
    scenario: Scenario
    runs: int
    seed: int
    summaries: Sequence[OutcomeSummary]


def text_of(simulated: Simulated, *, colour: bool) -> str:
    """The whole report, without a line end at its end."""
    most = max(simulated.summaries, key=lambda summary: summary.count)
    sentence = styled(expectation(simulated), STYLES[most.outcome], colour=colour)
    rows = [_cells(summary) for summary in simulated.summaries]
    return "\n".join([*_header(simulated), "", *lines_of(COLUMNS, rows, colour=colour), "", sentence])


def expectation(simulated: Simulated) -> str:
    """One sentence on what to expect of such a rollout."""
    most = max(simulated.summaries, key=lambda summary: summary.count)
    if most.share < NEARLY_ALL:
        parts = [f"{summary.count} were {_ended(summary)}" for summary in simulated.summaries if summary.count]
        return f"It may go either way: of {simulated.runs} rollouts {'; '.join(parts)}."
    ended = f"{most.count} of {simulated.runs} rollouts were {_ended(most)}"
    if most.outcome == "Inconclusive":
        return f"Expect no verdict: {ended}; {_advice(most)}."
    noun = "a rollback" if most.outcome == "RolledBack" else "a promotion"
    return f"Expect {noun}: {ended}, {_seen(most)}."


def _ended(summary: OutcomeSummary) -> str:
    if summary.outcome == "Inconclusive":
        return f"undecided when their time was over, mostly after {_median_time(summary)} ({summary.reason})"
    return f"{NAMES[summary.outcome]}, half of them by {_median_time(summary)} and nine in ten by {_long_time(summary)}"


def _seen(summary: OutcomeSummary) -> str:
    requests, failed = summary.requests or (0, 0), summary.failed or (0, 0)
    return (
        f"after about {requests[0]:,} answers of the candidate with {failed[0]:,} bad ones among them "
        f"(at most {failed[1]:,} in nine of ten)"
    )


def _advice(summary: OutcomeSummary) -> str:
    return ADVICE.get(summary.reason or "", MORE_TRAFFIC)


def _median_time(summary: OutcomeSummary) -> str:
    return _span(summary.seconds[0]) if summary.seconds else "-"


def _long_time(summary: OutcomeSummary) -> str:
    return _span(summary.seconds[1]) if summary.seconds else "-"


def _span(seconds: float) -> str:
    return format_duration(timedelta(seconds=seconds))


def _header(simulated: Simulated) -> list[str]:
    scenario, analysis = simulated.scenario, simulated.spec.analysis
    looked, read = format_duration(analysis.interval), format_duration(scenario.scrape_interval)
    return [
        f"{_course(simulated.spec)} at {scenario.rate:g} requests a second, judged every {looked} by counters that are "
        f"read every {read}",
        f"stable {_behaviour(scenario.stable)}; the candidate {_behaviour(scenario.candidate)}",
        f"{simulated.runs:,} rollouts, seed {simulated.seed}; falseRollback {format_percent(analysis.false_rollback)}, "
        f"falsePromotion {format_percent(analysis.false_promotion)}",
    ]


def _course(spec: ModelDeploymentSpec) -> str:
    if isinstance(spec.strategy, BlueGreen):
        return f"a blue-green switch, the old revision kept for {format_duration(spec.strategy.keep_old)},"
    return f"a canary through {', '.join(f'{step.weight}%' for step in steps_of(spec))}"


def _behaviour(behaviour: Behaviour) -> str:
    clumps = f" in clumps of {behaviour.clump:g}" if behaviour.clump > 1 else ""
    told = f"fails on {format_percent(behaviour.error_rate)}{clumps}"
    return told if behaviour.median is None else f"{told}, median {behaviour.median * 1000:.3g} ms"


def _cells(summary: OutcomeSummary) -> list[Cell]:
    style = STYLES[summary.outcome] if summary.count else Style.PLAIN
    amounts = [_pair(summary.requests), _pair(summary.failed)]
    return [
        Cell(NAMES[summary.outcome], style),
        Cell(format_percent(summary.share), style),
        Cell(_median_time(summary)),
        Cell(_long_time(summary)),
        *(cell for pair in amounts for cell in pair),
        Cell(summary.reason or "-"),
    ]


def _pair(amounts: tuple[int, int] | None) -> list[Cell]:
    return [Cell("-"), Cell("-")] if amounts is None else [Cell(f"{amount:,}") for amount in amounts]


def json_of(simulated: Simulated) -> str:
    """The same for programs: times in seconds; null where no rollout ended so."""
    scenario = simulated.scenario
    document = {
        "scenario": {
            "rate": scenario.rate,
            "steps": [step.weight for step in steps_of(simulated.spec)],
            "stable": _behaviour_dict(scenario.stable),
            "candidate": _behaviour_dict(scenario.candidate),
            "interval": simulated.spec.analysis.interval.total_seconds(),
            "scrapeInterval": scenario.scrape_interval.total_seconds(),
        },
        "runs": simulated.runs,
        "seed": simulated.seed,
        "outcomes": {summary.outcome: _ending_dict(summary) for summary in simulated.summaries},
        "expectation": expectation(simulated),
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)


def _behaviour_dict(behaviour: Behaviour) -> dict[str, Any]:
    return {"errorRate": behaviour.error_rate, "median": behaviour.median, "clump": behaviour.clump}


def _ending_dict(summary: OutcomeSummary) -> dict[str, Any]:
    def pair(amounts: tuple[float, float] | None) -> dict[str, float] | None:
        return None if amounts is None else {"median": amounts[0], "p90": amounts[1]}

    return {
        "count": summary.count,
        "share": summary.share,
        "seconds": pair(summary.seconds),
        "requests": pair(summary.requests),
        "failed": pair(summary.failed),
        "reason": summary.reason,
    }
