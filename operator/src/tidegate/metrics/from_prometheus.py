"""What Prometheus tells, folded into a rollout's test: the traffic first, then what it takes to promote."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from tidegate.errors import MetricsUnavailable
from tidegate.judge.input_drift import inputs_seen
from tidegate.judge.sampling import Segment
from tidegate.metrics.accumulate import Comparison, accumulate_details, accumulate_traffic
from tidegate.metrics.checkpoint import reread_details, reread_traffic
from tidegate.metrics.direct_evidence import SHARE_SPAN, Frame, covered, nobody, take_from_prometheus
from tidegate.metrics.edits import parameters_of
from tidegate.metrics.fold import Fold
from tidegate.metrics.inputs import features_of
from tidegate.metrics.lateness import points_known, too_old
from tidegate.metrics.look import Look
from tidegate.metrics.preflight import baseline_of
from tidegate.metrics.prometheus_parts import at_most, everybody_in, new_blocks_of, of_both, points_of, read_details
from tidegate.metrics.provider import STALE, DirectReadings, Readings, Selection, Sources
from tidegate.metrics.record import PROMETHEUS, Details, Traffic
from tidegate.metrics.replicas import replicas_differ
from tidegate.model.evidence import NO_DURATIONS, Increment, MetricsGap
from tidegate.model.inputs import InputPolicy, InputsSeen
from tidegate.model.reasons import Reason
from tidegate.model.spec import CounterSource
from tidegate.model.units import format_instant

PARTS_OF_A_LOOK = 10
"""Answers of one source that are folded before the verdict is told; the rest comes with the next look."""
SECOND = timedelta(seconds=1)
COMPARED_EVERY = timedelta(seconds=15)
"""The shortest time from one comparison of Prometheus' counts with the routers' own to the next."""
NONSENSE = (ValueError, LookupError, TypeError, ArithmeticError, AttributeError)
"""What reading an answer of an unforeseen shape raises."""

log = logging.getLogger(__name__)


def fold_sources(fold: Fold, look: Look, sources: Sources, read: DirectReadings | None) -> Iterator[MetricsGap | None]:
    """Folds what each source tells, the traffic first; gives back what each can't."""
    if fold.is_direct:
        yield _unseen(lambda: _take_beside(fold, look, sources, read))
    elif look.spec.analysis.source is CounterSource.ROUTERS:
        yield nobody()
    else:
        yield _unseen(lambda: _take_traffic(fold, look, sources))
    if fold.test.rejected_at:
        return
    if fold.baseline is None:
        yield _unseen(lambda: _learn(fold, look, sources))
    if fold.baseline and not fold.test.rejected_at:
        yield _unseen(lambda: _take_details(fold, look, sources))


def _take_beside(fold: Fold, look: Look, sources: Sources, read: DirectReadings | None) -> MetricsGap | None:
    """What Prometheus has of routers that are read directly: to compare, and instead of those that are silent."""
    only_directly = look.spec.analysis.source is CounterSource.ROUTERS
    if read and not read.silent and _was_compared(fold, look):
        return fold.agreement.gap(look.until)
    told = sources.traffic.readings(_beside(fold, look, read), look.until, SECOND, 1)
    with fold.lock:
        fold.compared_at = look.until
        silent = frozenset(read.known_as[name] for name in read.silent) if read else None
        take_from_prometheus(fold, told, frozenset() if only_directly else silent, frame_of(fold, look), look.until)
        fold.covered = frozenset()
        if read is None:
            return nobody() if only_directly else _instead(told, look, sources)
        if not only_directly and not told.doubt:
            fold.covered = covered(told, read, look.until, look.propagation_delay)
        return fold.agreement.gap(look.until)


def _was_compared(fold: Fold, look: Look) -> bool:
    """Whether Prometheus can hardly have anything new to compare."""
    since = None if fold.compared_at is None else look.until - fold.compared_at
    return since is not None and timedelta() <= since < max(look.propagation_delay, COMPARED_EVERY)


def _beside(fold: Fold, look: Look, read: DirectReadings | None) -> Selection:
    """All where Prometheus is to tell what a router doesn't; else the newest counts of requests, to compare."""
    everybody = everybody_in(comparison_of(fold, look))
    if read is None or read.silent:
        return replace(everybody, latency=fold.latency_by_routers)
    return replace(everybody, looks_back=min(STALE, 2 * look.propagation_delay + COMPARED_EVERY))


def _instead(told: Readings, look: Look, sources: Sources) -> MetricsGap | None:
    """Why Prometheus' word can't be taken while no router answers; None where it can."""
    if not told.samples[-1] and not told.doubt:
        return sources.traffic.gap(look.arms.namespace, look.arms.name)
    return doubt_in(told, sources.traffic.name, look)


def inputs_of(sources: Sources, look: Look) -> tuple[InputsSeen | None, tuple[MetricsGap, ...]]:
    """What the candidate is asked, beside its training, where that is wanted; and what holds if it can't be seen."""
    analysis, found = look.criteria.analysis, []
    check = analysis.inputs
    if check is None:
        return None, ()

    def seen() -> None:
        features = features_of(sources, look.arms, look.until, look.propagation_delay)
        found.append(inputs_seen(features, check, analysis.false_rollback))

    gap = _unseen(seen)
    holds = gap is not None and check.on_drift is InputPolicy.HOLD
    return (found[0] if found else None), ((gap,) if gap and holds else ())


def _unseen(read: Callable[[], MetricsGap | None]) -> MetricsGap | None:
    """Why something couldn't be read. An answer of a shape that nobody foresaw is no answer."""
    try:
        return read()
    except MetricsUnavailable as error:
        return MetricsGap(Reason.METRICS_UNAVAILABLE, str(error))
    except NONSENSE as error:
        log.exception("an answer of a metric source makes no sense")
        return MetricsGap(Reason.METRICS_UNAVAILABLE, f"an answer of Prometheus makes no sense: {error!r}")


def _learn(fold: Fold, look: Look, sources: Sources) -> MetricsGap | None:
    """Learns from stable, and begins anew with a test that rests on it."""
    latency = fold.provisional.reference if fold.provisional and fold.latency_by_routers else None
    began, analysis = look.rollout.shifts[0].at, look.criteria.analysis
    baseline = baseline_of(sources, look.arms, analysis, began, look.propagation_delay, latency)
    with fold.lock:
        fold.baseline = baseline
        if fold.is_direct:
            fold.judge_again(parameters_of(look, sources, fold))
            return None
        fold.begin(parameters_of(look, sources, fold))
        fold.traffic, fold.details = fold.since
        if fold.since_to_reread:
            fold.traffic_to_reread = fold.details_to_reread = True
            fold.since_to_reread = False
    return _take_traffic(fold, look, sources)


def _take_traffic(fold: Fold, look: Look, sources: Sources) -> MetricsGap | None:
    """Folds the points that are new, up to what one look may read."""
    if fold.traffic_to_reread:
        _reread_traffic(fold, look, sources)
    comparison, parts = comparison_of(fold, look), 0
    for segment in look.segments:
        for first, read in points_of(sources, comparison, segment, fold.traffic.at):
            with fold.lock:
                if fold.is_direct:
                    return None  # routers have answered meanwhile: they are ahead of this
                known = _take_points(fold, look, sources, segment, first, read)
            if known < len(read.samples):
                return fold.traffic_doubt
            parts += 1
            if parts == PARTS_OF_A_LOOK or fold.test.rejected_at:
                return _behind(fold.traffic.at, segment.step, look.until)
    if fold.traffic.has_gap and not fold.traffic_doubt:
        return sources.traffic.gap(look.arms.namespace, look.arms.name)
    return fold.traffic_doubt


def _take_points(fold: Fold, look: Look, sources: Sources, segment: Segment, first: int, read: Readings) -> int:
    """Folds an answer from the segment's point `first` on; gives back how many of its points are known by now."""
    known = points_known(read, segment.instant(first), segment.step, look.propagation_delay)
    _compare(fold, read, segment.instant(first), sources.traffic.name)
    comparison = comparison_of(fold, look)
    fold.traffic, counted = accumulate_traffic(fold.traffic, comparison, segment, first, read.samples[:known])
    for increment in counted:
        fold.take(Traffic(PROMETHEUS, increment))
    fold.traffic_doubt = doubt_in(read, sources.traffic.name, look) or _still(fold.differed, look.until)
    return known


def _take_details(fold: Fold, look: Look, sources: Sources) -> MetricsGap | None:
    """The same for the details."""
    if fold.details_to_reread:
        _reread_details(fold, look, sources)
    comparison, parts = comparison_of(fold, look, of_servers=True), 0
    for segment in look.segments:
        for first, read in new_blocks_of(fold, sources, comparison, segment):
            with fold.lock:
                fold.details, detailed = accumulate_details(fold.details, comparison, segment, first, read.samples)
                fold.details_doubt = read.doubt
                for increment in detailed:
                    judged = _without_latency(increment) if fold.latency_by_routers else increment
                    fold.take(Details(PROMETHEUS, judged))
            parts += 1
            if parts == PARTS_OF_A_LOOK or fold.test.rejected_at:
                return _behind(fold.details.at, segment.blocks.step, look.until)
    differ = fold.details.histograms_differ and not fold.latency_by_routers
    return _histograms_differ() if differ else fold.details_doubt


def _without_latency(details: Increment) -> Increment:
    """The predictions, and each pod's own counts, where the routers' latency is judged."""
    stable, candidate = (replace(arm, durations=NO_DURATIONS) for arm in (details.stable, details.candidate))
    return replace(details, stable=stable, candidate=candidate)


def _reread_traffic(fold: Fold, look: Look, sources: Sources) -> None:
    """What had been counted where the operator before was last."""
    everybody = everybody_in(comparison_of(fold, look))
    fold.traffic, answer = reread_traffic(
        fold.traffic, look.arms, lambda start, step, count: sources.traffic.readings(everybody, start, step, count)
    )
    fold.traffic_to_reread = False
    if answer and answer.doubt:
        fold.traffic_doubt = answer.doubt


def _reread_details(fold: Fold, look: Look, sources: Sources) -> None:
    both = of_both(comparison_of(fold, look), at_most(look.segments[0].blocks))
    fold.details, answer = reread_details(
        fold.details, look.arms, lambda start, step, count: read_details(sources, both, start, step, count)
    )
    fold.details_to_reread = False
    if answer and answer.doubt:
        fold.details_doubt = answer.doubt


def comparison_of(fold: Fold, look: Look, *, of_servers: bool = False) -> Comparison:
    """What counters are folded for; without latency `of_servers` where the routers' own is judged."""
    reference = NO_DURATIONS if of_servers and fold.latency_by_routers else fold.test.parameters.reference
    pod_bounds = fold.baseline.pod_bounds if fold.baseline else None
    sliced = bool(look.criteria.analysis.slices)
    return Comparison(look.arms, look.rollout.shifts[0].at, reference, pod_bounds, sliced)


def doubt_in(readings: Readings, who: str, look: Look) -> MetricsGap | None:
    """Why the counters can't be believed; None where they can."""
    return readings.doubt or too_old(readings, who, look.propagation_delay, look.until)


def _compare(fold: Fold, readings: Readings, at: datetime, who: str) -> None:
    """Notes where whoever answers now doesn't know what whoever answered before knew."""
    if not readings.doubt and (gap := replicas_differ(fold.traffic.latest, readings.samples[0], at, who)):
        fold.differed = at, gap


def _still(differed: tuple[datetime, MetricsGap] | None, until: datetime) -> MetricsGap | None:
    return differed[1] if differed and until < differed[0] + STALE else None


def _behind(at: datetime | None, step: timedelta, until: datetime) -> MetricsGap | None:
    """What to say where more is to be read than one look may."""
    if at is None or at + step > until:
        return None
    return MetricsGap(
        Reason.CATCHING_UP,
        f"what was counted up to {format_instant(at)} has been read, the rest comes with the next looks",
    )


def _histograms_differ() -> MetricsGap:
    return MetricsGap(
        Reason.HISTOGRAMS_DIFFER,
        "latency can't be compared: the model servers of the two revisions have different buckets; use one server "
        "image for both",
    )


def frame_of(fold: Fold, look: Look) -> Frame:
    """What direct readings are folded with."""
    span = max(look.propagation_delay, SHARE_SPAN)
    return Frame(comparison_of(fold, look), look.segments, span, look.pods)
