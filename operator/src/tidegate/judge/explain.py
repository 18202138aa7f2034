"""Sentences with numbers for people; nothing here decides."""

import math

from tidegate.judge.latency import quantile_seconds
from tidegate.model.evidence import Counts, Evidence
from tidegate.model.spec import Analysis
from tidegate.model.units import format_percent


def explain(blamed: str, stable: Counts, candidate: Counts, evidence: Evidence, analysis: Analysis) -> str:
    """What was measured on both sides of the metric that matters most, and how strong the evidence is."""
    if blamed == "latency":
        measured = _latency(stable, candidate, analysis)
    elif blamed == "ceiling":
        measured = f"{_errors(candidate)}, ceiling {format_percent(analysis.error_rate.ceiling)}"
    else:
        measured = f"{_errors(candidate)} against {_errors(stable, 'on stable')}"
    return (
        f"{measured}; evidence that it is worse {number(evidence.worse)} of {number(evidence.worse_needed)}, "
        f"acceptable {number(evidence.acceptable)} of {number(evidence.acceptable_needed)}"
    )


def _errors(counts: Counts, where: str = "") -> str:
    if counts.requests == 0:
        return f"no requests {where}".rstrip()
    rate = format_percent(counts.failed / counts.requests)
    prefix = "" if where else "error rate "
    return f"{prefix}{rate} {where}".rstrip() + f" ({counts.failed:,} of {counts.requests:,} requests)"


def _latency(stable: Counts, candidate: Counts, analysis: Analysis) -> str:
    quantiles = analysis.latency.quantiles
    shown = sorted({quantiles[0], quantiles[-1]})
    parts = [
        f"p{q} {_milliseconds(quantile_seconds(candidate.durations, q))}"
        f" against {_milliseconds(quantile_seconds(stable.durations, q))} on stable"
        for q in shown
    ]
    return f"{', '.join(parts)} ({candidate.durations.total:,} and {stable.durations.total:,} requests)"


def _milliseconds(seconds: float) -> str:
    return "unknown" if math.isnan(seconds) else f"{seconds * 1000:.3g} ms"


def remaining(candidate: Counts, log_acceptable: float, evidence: Evidence) -> str:
    """About how many more candidate requests the next step takes, by the pace so far."""
    if log_acceptable < 0.2 or candidate.requests == 0:
        return ""
    needed = candidate.requests * (math.log(evidence.acceptable_needed) / log_acceptable - 1)
    if needed < 1:
        return ""
    return f"; about {number(needed)} more candidate requests needed"


def number(value: float) -> str:
    """Two significant digits below a hundred, whole numbers above, powers of ten for what nobody reads."""
    if value >= 1e6:
        return f"{value:.0e}".replace("e+0", "e").replace("e+", "e")
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
