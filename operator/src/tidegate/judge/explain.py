"""Sentences with numbers for people; nothing here decides."""

import math

from tidegate.judge.confidence_sequence import ConfidenceSequence
from tidegate.judge.drift import Shift
from tidegate.judge.e_process import e_value
from tidegate.judge.latency import quantile_seconds
from tidegate.judge.metric import Clump
from tidegate.judge.pods import SickPod
from tidegate.judge.sequential_test import WATCHFUL, SequentialTest
from tidegate.judge.slices import FEW, SliceErrors
from tidegate.model.evidence import Counts, Durations, Evidence, Measurements
from tidegate.model.spec import Analysis
from tidegate.model.units import format_duration_precisely, format_duration_roughly, format_percent

THREE_DIGITS = 999.5
MOST_TOLD = 3
"""Groups that people are told of at once."""
LARGE = 5.0
"""Clumps that people are told of."""


def explain(metric: str, test: SequentialTest, evidence: Evidence) -> str:
    """What was measured on both sides of the metric that matters most, and how strong the evidence is."""
    analysis, context = test.parameters.analysis, test.context
    where = "on stable before" if context.is_alone else "on stable"
    if metric == "latency":
        durations = context.past_durations if context.is_alone else test.stable.durations
        measured = _latency(durations, test.candidate.durations, analysis, where)
    elif metric == "latency ceiling":
        measured = _latency_ceiling(test.candidate, analysis)
    elif metric == "ceiling":
        measured = f"{_errors(test.candidate)}, ceiling {format_percent(analysis.error_rate.ceiling)}"
    elif metric == "slices" and test.slices:
        measured = _group(test, test.slices, where)
    else:
        stable = context.past if context.is_alone else test.stable
        measured = f"{_errors(test.candidate)} against {_errors(stable, where)}"
        measured += times(test.confidence_sequence, 1 - analysis.false_rollback)
    return (
        f"{measured}; rollback evidence {of_threshold(evidence.worse, evidence.worse_needed)}, "
        f"promotion evidence {of_threshold(evidence.acceptable, evidence.acceptable_needed)}"
    )


def _group(test: SequentialTest, slices: SliceErrors, where: str) -> str:
    """The group that matters most, and all requests beside it, which may look as good as stable's."""
    is_suspected = slices.log_worse() >= math.log(WATCHFUL)
    group = slices.heaviest() if is_suspected or not slices.required else slices.weakest()
    ours, theirs = (group.counted(arm.cells) for arm in (test.candidate, test.stable))
    of_group = f"{_errors(Counts(*ours))} against {_errors(Counts(*theirs), where)}"
    of_all = f"{_errors(test.candidate)} against {_errors(test.stable, where)}"
    return f"{group}: {of_group}; all requests: {of_all}"


def few_requests(test: SequentialTest) -> str:
    """The groups of which one of the two revisions has answered too little to tell much; '' where there are none."""
    told = []
    for group in test.slices.groups if test.slices else ():
        ours, theirs = (group.counted(arm.cells).requests for arm in (test.candidate, test.stable))
        if min(ours, theirs) < FEW:
            told.append(f"{group} ({ours:,} and {theirs:,} on stable)")
    if not told:
        return ""
    more = f" and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
    return f"; few requests of {', '.join(told[:MOST_TOLD])}{more}, so little is known of them"


def unwell(log_shown: float, needed: float) -> str:
    """What is the matter with stable, and what the rollout waits for."""
    return (
        "stable itself is above the ceiling, so the candidate goes on once it is shown to be inside it or better than "
        f"stable, evidence {of_threshold(e_value(log_shown), needed)}"
    )


def of_threshold(value: float, threshold: float) -> str:
    """`312 (threshold 100)`: an e-value beside what it is held against."""
    return f"{number(value)} (threshold {number(threshold)})"


def times(interval: ConfidenceSequence, sureness: float) -> str:
    """`, 0.9× to 3.1× of stable's (99% sure)`; nothing while nothing has been ruled out."""
    if interval.low == 0 and math.isinf(interval.high):
        return ""
    sure = f" of stable's ({format_percent(sureness)} sure)"
    if math.isinf(interval.high):
        return f", at least {interval.low:.2g}×{sure}"
    if interval.low == 0:
        return f", at most {interval.high:.2g}×{sure}"
    return f", {interval.low:.2g}× to {interval.high:.2g}×{sure}"


def sick_pod(sick: SickPod, node: str | None, what: str) -> str:
    """Which pod it is, on which node, and how the others do."""
    where = f" on node {node}" if node else ""
    return (
        f"one pod accounts for it, so the pod and not the model may be at fault: {sick.pod}{where}, "
        f"{sick.own.bad:,} of {sick.own.requests:,} requests {what}, "
        f"{sick.others.bad:,} of {sick.others.requests:,} on the candidate's other pods; "
        "look at that node, then change the strategy or the analysis to try again"
    )


def difference(shift: Shift | None, log_value: float, analysis: Analysis) -> str:
    """What the candidate predicts otherwise, and how sure that is."""
    predictions = analysis.predictions
    tolerated = (
        f"{format_percent(predictions.drift)} of a class and {format_percent(predictions.score_drift)} of scores"
    )
    found = f"{shift}" if shift else "the answers differ"
    evidence = of_threshold(e_value(log_value), 1 / analysis.false_rollback)
    return (
        f"{found}; differences of {tolerated} are tolerated, evidence {evidence}; if that is what the new model is "
        "for, set spec.analysis.predictions.onDrift to Ignore"
    )


def _errors(counts: Counts, where: str = "") -> str:
    if counts.requests == 0:
        return f"no requests {where}".rstrip()
    rate = format_percent(counts.failed / counts.requests)
    prefix = "" if where else "error rate "
    return (
        f"{prefix}{rate} {where}".rstrip() + f" ({counts.failed:,} of {counts.requests:,} requests{_given_up(counts)})"
    )


def _given_up(counts: Counts) -> str:
    if not counts.abandoned:
        return ""
    return f", {counts.abandoned:,} of them unanswered when their clients gave up"


def _latency(stable: Durations, candidate: Durations, analysis: Analysis, where: str) -> str:
    if not candidate.total or not stable.total:
        return f"no latency of {'stable' if candidate.total else 'the candidate'} is counted yet"
    quantiles = analysis.latency.quantiles
    shown = sorted({quantiles[0], quantiles[-1]})
    parts = [
        f"p{q} {told_milliseconds(quantile_seconds(candidate, q))}"
        f" against {told_milliseconds(quantile_seconds(stable, q))} {where}"
        for q in shown
    ]
    return f"{', '.join(parts)} ({candidate.total:,} and {stable.total:,} requests)"


def _latency_ceiling(candidate: Counts, analysis: Analysis) -> str:
    parts = [
        f"p{quantile} {told_milliseconds(quantile_seconds(candidate.durations, quantile))}, "
        f"ceiling {format_duration_precisely(limit)}"
        for quantile, limit in analysis.latency.ceiling
    ]
    return f"{'; '.join(parts)} ({candidate.durations.total:,} requests)"


def told_milliseconds(seconds: float) -> str:
    """A latency for people, to three digits or the millisecond."""
    if math.isnan(seconds):
        return "unknown"
    milliseconds = seconds * 1000
    return f"{milliseconds:.3g} ms" if milliseconds < THREE_DIGITS else f"{milliseconds:,.0f} ms"


def remaining(test: SequentialTest, log_acceptable: float, evidence: Evidence) -> str:
    """About how many more candidate requests the next step takes, and how long, by the pace so far."""
    requests = test.candidate.requests
    if log_acceptable < 0.2 or requests == 0:
        return ""
    needed = requests * (math.log(evidence.acceptable_needed) / log_acceptable - 1)
    if needed < 1:
        return ""
    takes = needed / requests * test.watched
    return f"; waiting for about {number(needed)} more candidate requests (about {format_duration_roughly(takes)})"


def clumps(clump: Clump) -> str:
    """Why it takes so long, where that is since bad requests are no witnesses of their own."""
    if clump.size < LARGE:
        return ""
    return (
        f"; {clump.what} came in clumps of about {clump.size:.0f} on stable, so it takes that many times as long; "
        "where both models slow down or fail together, a smaller number in spec.analysis.dispersion is right"
    )


def number(value: float) -> str:
    """Two significant digits below a hundred, whole numbers above, powers of ten for what nobody reads."""
    if value >= 1e6:
        return f"{value:.0e}".replace("e+0", "e").replace("e+", "e")
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def of_whom(measurements: Measurements) -> str:
    """Whose requests the candidate has answered, where that isn't a part of all of them that was drawn."""
    shadowed, exposed = measurements.shadowed, measurements.exposed
    if shadowed.requests and not exposed.requests:
        return f"; 0 users, {shadowed.requests:,} shadow requests ({shadowed.failed:,} failed)"
    if not measurements.matched:
        return ""
    return (
        f"; {measurements.matched:,} of its {exposed.requests:,} requests came by match, and are compared with those "
        "of users who weren't chosen"
    )
