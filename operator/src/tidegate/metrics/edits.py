"""What an edited `analysis`, and a clock that was set back, mean for what has been counted of a rollout."""

from dataclasses import replace
from datetime import datetime, timedelta

from tidegate.judge.overdispersion import LARGEST
from tidegate.judge.sampling import delay_points
from tidegate.judge.sequential_test import SequentialTestParameters
from tidegate.judge.users import as_drawn
from tidegate.metrics.accumulate import TrafficFold
from tidegate.metrics.baseline import Baseline
from tidegate.metrics.direct_evidence import without_clumps
from tidegate.metrics.fold import Fold
from tidegate.metrics.look import Look
from tidegate.metrics.provider import Sources
from tidegate.model.evidence import NO_DURATIONS, Counts, Overdispersion
from tidegate.model.spec import Analysis

STEADY = timedelta(seconds=5)
"""A reading that is so much later than now was made before the clock was set back."""


def follow_the_clock(fold: Fold, look: Look) -> None:
    """Where it was set back, what comes now is counted from here on."""
    ahead = STEADY if fold.is_direct else max(look.criteria.analysis.interval, STEADY)
    if fold.traffic.at and fold.traffic.at > look.until + ahead:
        fold.traffic = _counted_anew(fold.traffic, look.until)
        fold.details = replace(fold.details, at=look.until, last=None, warm_from={})


def _counted_anew(fold: TrafficFold, at: datetime | None) -> TrafficFold:
    return TrafficFold(at=at, exposed=fold.exposed, shadowed=fold.shadowed, matched=fold.matched)


def follow_edits(fold: Fold, look: Look, sources: Sources) -> None:
    """What an edit of `analysis` in a rollout means: times only go forward, and what was shown worse stays so.

    Evidence is kept where its test is the same afterwards; otherwise it is gathered anew from here on.
    """
    if fold.counted_by not in ("", sources.counted_by):
        fold.traffic = _counted_anew(fold.traffic, fold.traffic.at)
        fold.details = replace(fold.details, last=None, warm_from={})
    fold.counted_by = sources.counted_by
    parameters = parameters_of(look, sources, fold)
    if parameters.is_same_test(fold.test.parameters):
        fold.edit(parameters)
    elif fold.test.rejected_at is None:
        fold.baseline, fold.since = None, (fold.traffic, fold.details)
        if known := fold.provisional:
            fold.provisional = without_clumps(known.reference, known.before, look.criteria.analysis)
        fold.since_to_reread = fold.traffic_to_reread or fold.details_to_reread
        fold.begin(parameters_of(look, sources, fold))


def parameters_of(look: Look, sources: Sources, fold: Fold | None) -> SequentialTestParameters:
    """What the test is made with, by what has been learned from stable so far."""
    known = (fold and (fold.baseline or fold.provisional)) or _provisional(look.criteria.analysis)
    analysis = look.criteria.analysis
    apart = sources.points_apart(delay_points(look.propagation_delay, analysis.interval))
    learned = as_drawn(known.overdispersion, look.spec.route_settings.sticky)
    return SequentialTestParameters(analysis, known.reference, learned, known.before, apart)


def _provisional(analysis: Analysis) -> Baseline:
    """What traffic is judged by while nothing could be learned from stable: the most careful that there is."""
    return Baseline(NO_DURATIONS, Overdispersion(analysis.overdispersion or LARGEST), Counts())
