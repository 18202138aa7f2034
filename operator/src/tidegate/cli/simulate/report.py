"""What simulated rollouts say about one that is to come: a table and a sentence, or one JSON document. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tidegate.cli.common.columns import Cell, Column, Style, lines_of, styled
from tidegate.cli.simulate.summary import OutcomeSummary
from tidegate.model.reasons import Outcome, Reason
from tidegate.model.spec import BlueGreen, ModelDeploymentSpec
from tidegate.model.units import format_duration, format_percent
from tidegate.simulation.engine import INCONCLUSIVE
from tidegate.simulation.synthetic_metrics import Scenario
from tidegate.simulation.synthetic_traffic import Behaviour

COLUMNS = (
    Column("outcome", left=True),
    Column("share"),
    Column("median", "time"),
    Column("90%", "time"),
    Column("median", "candidate's requests"),
    Column("90%", "candidate's requests"),
    Column("median", "candidate's failures"),
    Column("90%", "candidate's failures"),
    Column("most frequent reason", left=True),
)
NAMES: Mapping[str, str] = {
    Outcome.ROLLED_BACK: "rolled back",
    Outcome.PROMOTED: "promoted",
    INCONCLUSIVE: "inconclusive",
}
STYLES: Mapping[str, Style] = {
    Outcome.ROLLED_BACK: Style.BAD,
    Outcome.PROMOTED: Style.GOOD,
    INCONCLUSIVE: Style.DOUBTFUL,
}
NEARLY_ALL = 0.9
ADVICE: Mapping[str, str] = {
    Reason.NO_REQUESTS: "without requests nothing is decided",
    Reason.NO_LATENCY_TO_COMPARE_WITH: "stable has too few requests to be compared with",
    Reason.MIN_DURATION: "the steps' minDuration take longer than that",
    Reason.KEEPING_OLD: "the old revision is to be kept for longer than that",
    Reason.SUSPICION_OF_WORSE: "it looks worse, and not surely enough to go back",
}
MORE_TRAFFIC = (
    "raise the weight of the steps or the deadline, or widen analysis.errorRate.accept and analysis.latency.accept"
)


@dataclass(frozen=True)
class SimulationReport:
    """What was simulated, and how it ended."""

    spec: ModelDeploymentSpec
    scenario: Scenario
    runs: int
    seed: int
    summaries: Sequence[OutcomeSummary]


def text_of(report: SimulationReport, *, colour: bool) -> str:
    """The whole report, without a line end at its end."""
    most = max(report.summaries, key=lambda summary: summary.count)
    sentence = styled(expectation(report), STYLES[most.outcome], colour=colour)
    rows = [_cells(summary) for summary in report.summaries]
    return "\n".join([*_header(report), "", *lines_of(COLUMNS, rows, colour=colour), "", sentence])


def expectation(report: SimulationReport) -> str:
    """One sentence on what to expect of such a rollout."""
    most = max(report.summaries, key=lambda summary: summary.count)
    if most.share < NEARLY_ALL:
        parts = [f"{summary.count} were {_ended(summary)}" for summary in report.summaries if summary.count]
        return f"It may go either way: of {report.runs} rollouts {'; '.join(parts)}."
    ended = f"{most.count} of {report.runs} rollouts were {_ended(most)}"
    if most.outcome == INCONCLUSIVE:
        return f"Expect no verdict: {ended}; {_advice(most)}."
    noun = "a rollback" if most.outcome == Outcome.ROLLED_BACK else "a promotion"
    return f"Expect {noun}: {ended}, {_answered(most)}."


def _ended(summary: OutcomeSummary) -> str:
    if summary.outcome == INCONCLUSIVE:
        return f"undecided when their time was over, mostly after {_median_time(summary)} ({summary.reason})"
    return f"{NAMES[summary.outcome]}, half of them by {_median_time(summary)} and nine in ten by {_long_time(summary)}"


def _answered(summary: OutcomeSummary) -> str:
    requests, failed = summary.requests or (0, 0), summary.failed or (0, 0)
    return (
        f"after about {requests[0]:,} answers of the candidate with {failed[0]:,} failures among them "
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


def _header(report: SimulationReport) -> list[str]:
    scenario, analysis = report.scenario, report.spec.analysis
    judged, read = format_duration(analysis.interval), format_duration(scenario.scrape_interval)
    return [
        f"{_strategy(report.spec)} at {scenario.rate:g} requests a second, judged every {judged} by counters that are "
        f"read every {read}",
        f"stable {_behaviour(scenario.stable)}; the candidate {_behaviour(scenario.candidate)}",
        f"{report.runs:,} rollouts, seed {report.seed}; falseRollback {format_percent(analysis.false_rollback)}, "
        f"falsePromotion {format_percent(analysis.false_promotion)}",
    ]


def _strategy(spec: ModelDeploymentSpec) -> str:
    if isinstance(spec.strategy, BlueGreen):
        return f"a blue-green switch, the old revision kept for {format_duration(spec.strategy.keep_old)},"
    return f"a canary through {', '.join(f'{weight}%' for weight in _weights(spec))}"


def _weights(spec: ModelDeploymentSpec) -> list[int]:
    """Percent of the candidate, step by step; a blue-green switch is one step with all of it."""
    return [100] if isinstance(spec.strategy, BlueGreen) else [step.weight for step in spec.strategy.steps]


def _behaviour(behaviour: Behaviour) -> str:
    clusters = f" in clusters of {behaviour.cluster:g}" if behaviour.cluster > 1 else ""
    errors = f"fails on {format_percent(behaviour.error_rate)}{clusters}"
    return errors if behaviour.median is None else f"{errors}, median {behaviour.median * 1000:.3g} ms"


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


def json_of(report: SimulationReport) -> str:
    """The same for programs: times in seconds; null where no rollout ended so."""
    scenario = report.scenario
    document = {
        "scenario": {
            "rate": scenario.rate,
            "steps": _weights(report.spec),
            "stable": _behaviour_dict(scenario.stable),
            "candidate": _behaviour_dict(scenario.candidate),
            "interval": report.spec.analysis.interval.total_seconds(),
            "scrapeInterval": scenario.scrape_interval.total_seconds(),
        },
        "runs": report.runs,
        "seed": report.seed,
        "outcomes": {summary.outcome: _ending_dict(summary) for summary in report.summaries},
        "expectation": expectation(report),
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)


def _behaviour_dict(behaviour: Behaviour) -> dict[str, Any]:
    return {"errorRate": behaviour.error_rate, "median": behaviour.median, "clump": behaviour.cluster}


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
