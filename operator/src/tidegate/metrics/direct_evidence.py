"""A rollout's evidence from routers that are asked themselves, and from Prometheus where one of them is silent.

Once a router has been read directly, all is folded reading by reading. Prometheus is one more reader of the same
counters then: what it has above the value that was counted last is new, and nothing counts twice.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tidegate.judge.overdispersion import ENOUGH_BAD, LARGEST
from tidegate.judge.sampling import JUST_BEFORE, Segment
from tidegate.metrics.accumulate import Comparison, Reading, ReadyPods, accumulate_readings
from tidegate.metrics.baseline import Baseline, reference_from
from tidegate.metrics.fold import Fold
from tidegate.metrics.increments import DURATION, Process, Sample, counts_of
from tidegate.metrics.lateness import LATEST
from tidegate.metrics.merging import later_than, named_as_here, of, without_latency
from tidegate.metrics.provider import STALE, DirectReadings, Readings
from tidegate.metrics.record import PROMETHEUS, ROUTERS, Traffic, Whole
from tidegate.model.evidence import NO_DURATIONS, Counts, Durations, MetricsGap, Overdispersion
from tidegate.model.reasons import Reason
from tidegate.model.spec import Analysis

SHARE_SPAN = timedelta(seconds=5)
"""Over which a share is told where routers are read directly."""


@dataclass(frozen=True)
class Frame:
    """What doesn't change while readings are folded: both arms, the times of constant split, and the pods."""

    comparison: Comparison
    grid: Sequence[Segment]
    span: timedelta
    """How far back a share may have to reach."""
    pods: ReadyPods


def begins(fold: Fold, read: DirectReadings, frame: Frame, analysis: Analysis) -> None:
    """The first direct readings of a rollout. Its latency is the routers' if nothing has been judged before them."""
    fold.is_direct = True
    if fold.test.increments or fold.traffic.last or fold.baseline:
        return
    before = [
        sample
        for at, sample in zip(read.instants, read.readings.samples, strict=True)
        if at <= frame.comparison.began + JUST_BEFORE
    ]
    (sample,) = before[-1:] or read.readings.samples[:1] or [{}]
    stable = _of(sample, frame.comparison.arms.stable)
    fold.latency_by_routers = any(key.measure == DURATION for key in stable)
    fold.provisional = _provisional(stable, frame.comparison.arms.stable, analysis, known=fold.latency_by_routers)


def _of(sample: Sample, revision: str) -> Sample:
    return {key: counted for key, counted in sample.items() if key.revision == revision}


def _provisional(stable: Sample, name: str, analysis: Analysis, *, known: bool) -> Baseline:
    """What the routers' own counters tell of stable since they began."""
    counts = counts_of(name, {key: round(counted.value) for key, counted in stable.items()}).traffic
    return without_clumps(reference_from(stable).durations if known else NO_DURATIONS, counts, analysis)


def without_clumps(reference: Durations, counts: Counts, analysis: Analysis) -> Baseline:
    """What is known of stable without its clumps, which are taken as the most careful that there are.

    Where fewer failed than an estimate needs, there is nothing to clump, as it is where Prometheus knows all of it.
    """
    clumps = analysis.overdispersion
    errors = clumps or (1.0 if counts.failed < ENOUGH_BAD else LARGEST)
    quantiles = (*analysis.latency.quantiles, *dict(analysis.latency.ceiling))
    return Baseline(reference, Overdispersion(errors, dict.fromkeys(quantiles, clumps or LARGEST)), counts)


def take_direct(fold: Fold, read: DirectReadings, frame: Frame) -> None:
    """Folds what came directly. Where nothing new did, what was doubted is as doubtful as it was."""
    if read.instants:
        fold.traffic_doubt = read.readings.doubt
    fold.agreement.keep(frozenset(read.known_as.values()))
    readings = []
    for at, sample in zip(read.instants, read.readings.samples, strict=True):
        fold.agreement.note(sample)
        # Mostly all routers tell all that they told before, and then there is nothing to add.
        is_whole = fold.traffic.latest.keys() <= sample.keys()
        readings.append(Reading(at, sample if is_whole else {**_by_prometheus_alone(fold, read, at), **sample}))
    _take(fold, readings, frame, ROUTERS)


def _by_prometheus_alone(fold: Fold, read: DirectReadings, at: datetime) -> Sample:
    """What was counted last of the live routers; of those that answer, their own readings take its place.

    One whose counters are in doubt is left out of its readings, and has to stay out.
    """
    routers = {read.known_as[name] for name in (read.silent if read.readings.doubt else read.known_as)}
    return of(_not_stale(fold.traffic.latest, at), routers)


def _not_stale(sample: Sample, at: datetime) -> Sample:
    since = (at - STALE).timestamp()
    return {key: counted for key, counted in sample.items() if counted.at > since}


def take_from_prometheus(
    fold: Fold,
    told: Readings,
    silent: Collection[Process] | None,
    frame: Frame,
    at: datetime,
) -> None:
    """Compares what Prometheus knew at `at`, and folds it for the `silent` routers; for all where that is None."""
    named = named_as_here(told.samples[-1], fold.known_as)
    fold.agreement.compare(named)
    if told.doubt or (silent is not None and not silent):
        return
    known = _not_stale(fold.traffic.latest, at)
    merged = {**known, **of(later_than(named, known, fold.known_as.values()), silent)}
    _take(fold, [Reading(max(at, fold.traffic.at or at), merged)], frame, PROMETHEUS)


def _take(fold: Fold, readings: Sequence[Reading], frame: Frame, source: str) -> None:
    if not fold.latency_by_routers:
        readings = [Reading(each.at, without_latency(each.sample)) for each in readings]
    fold.traffic, increments = accumulate_readings(
        fold.traffic, frame.comparison, frame.grid, readings, span=frame.span, pods=frame.pods
    )
    kind = Whole if fold.latency_by_routers else Traffic
    for increment in increments:
        fold.take(kind(source, increment))


def covered(told: Readings, read: DirectReadings, at: datetime, propagation_delay: timedelta) -> frozenset[str]:
    """The silent routers that Prometheus has read not long before `at`."""
    oldest = (at - propagation_delay - LATEST).timestamp()
    named = named_as_here(told.samples[-1], read.known_as)
    fresh = {key.owner.pod for key, counted in named.items() if counted.at >= oldest}
    return frozenset(read.silent) & fresh


def silence(silent: Mapping[str, str]) -> MetricsGap | None:
    """What to say of routers that nobody knows the counters of; None where there are none."""
    if not silent:
        return None
    name, why = min(silent.items())
    more = f" (and {len(silent) - 1} more)" if len(silent) > 1 else ""
    return MetricsGap(
        Reason.ROUTER_SILENT,
        f"the counters of router {name}{more} aren't known: {why}; what the others count may roll the candidate back, "
        "and nothing is promoted until all live routers are read",
    )


def nobody() -> MetricsGap:
    """What to say where `source` is Routers and none of them answers."""
    return MetricsGap(
        Reason.ROUTER_SILENT,
        "no router tells its counters to the operator, and spec.analysis.source is Routers; check that routers run, "
        "that they and the operator are of one release, and that no NetworkPolicy keeps the operator from their port "
        "9903, or set source to Auto",
    )
