"""What has been measured of a rollout: each source asked by itself, its counters folded into the rollout's test.

Traffic comes first and is judged first: a rollback that it calls for waits for nothing else. A source that fails, or
makes no sense, takes its own metrics away and no others. Nothing grows while a rollout lasts.
"""

import logging
import math
import threading
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from tidegate.errors import MetricsUnavailable
from tidegate.judge.case import Criteria
from tidegate.judge.e_process import LOOK
from tidegate.judge.overdispersion import LARGEST
from tidegate.judge.query_limits import pending_query, unusable_query
from tidegate.judge.sampling import Segment, delay_points, is_urgent, segments
from tidegate.judge.sequential_test import SequentialTest, SequentialTestParameters
from tidegate.judge.verdict import in_short
from tidegate.metrics.accumulate import (
    Comparison,
    DetailsFold,
    Reading,
    ReadyPods,
    TrafficFold,
    accumulate_details,
    accumulate_traffic,
    counted_until,
    share_between,
    share_of,
)
from tidegate.metrics.baseline import Baseline
from tidegate.metrics.checkpoint import Kept, reread_details, reread_traffic, resumed, to_text
from tidegate.metrics.direct_evidence import (
    SHARE_SPAN,
    Frame,
    begins,
    covered,
    nobody,
    silence,
    take_direct,
    take_from_prometheus,
    without_clumps,
)
from tidegate.metrics.fold import ByPrometheus, Fold
from tidegate.metrics.lateness import LATEST, points_known, too_old
from tidegate.metrics.preflight import baseline_of, slower_scrape, stable_now
from tidegate.metrics.provider import (
    STALE,
    DirectReadings,
    DirectSource,
    MetricsProvider,
    Readings,
    Selection,
    Sources,
    together,
)
from tidegate.metrics.query_pool import AtOnce, Pool
from tidegate.metrics.record import MALFORMED, PROMETHEUS, Asked, Details, Header, Said, Traffic
from tidegate.metrics.registry import SourceRegistry
from tidegate.metrics.replicas import replicas_differ
from tidegate.metrics.user_queries import Answers, all_say, ask, of_today
from tidegate.model.evidence import (
    NO_DURATIONS,
    Counts,
    Increment,
    Measurements,
    MetricsGap,
    Overdispersion,
    QueryAnswer,
    Verdict,
)
from tidegate.model.judged_queries import JudgedQuery, asked_about_stable, judged_queries
from tidegate.model.reasons import Reason
from tidegate.model.spec import Analysis, CounterSource, ModelDeploymentSpec
from tidegate.model.status import Rollout
from tidegate.model.traffic import Arms, Share
from tidegate.model.units import format_duration, format_instant
from tidegate.model.writing_pace import numbers_each
from tidegate.resources.names import GRPC_SUFFIX, MATCH_SUFFIX, MIRROR_SUFFIX

POINTS_AT_ONCE, BLOCKS_AT_ONCE = 240, 20
"""Of one answer: what is behind is read in parts, so that memory doesn't depend on how far."""
PARTS_OF_A_LOOK = 10
"""Answers of one source that are folded before the verdict is told; the rest comes with the next look."""
NO_PODS = ReadyPods()
BEFORE_THE_FIRST = timedelta(seconds=3)
"""How long before the candidate's first request routers are read that are asked directly."""
STEADY = timedelta(seconds=5)
"""A reading that is so much later than now was made before the clock was set back."""
SECOND = timedelta(seconds=1)
COMPARED_EVERY = timedelta(seconds=15)
"""The shortest time from one comparison of Prometheus' counts with the routers' own to the next."""
STILL_TO_COME = MetricsGap(Reason.METRICS_UNAVAILABLE, "Prometheus' answer is still to come")
NONSENSE = (ValueError, LookupError, TypeError, ArithmeticError, AttributeError)
"""What reading an answer of an unforeseen shape raises."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Look:
    """What is asked for: a rollout's measurements up to `until`, and what its test is made with."""

    arms: Arms
    rollout: Rollout
    spec: ModelDeploymentSpec
    criteria: Criteria
    propagation_delay: timedelta
    until: datetime
    pods: ReadyPods = NO_PODS
    """Of both arms, as the cluster knows them."""

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Each time of constant split, as its counters are read."""
        return segments(self.rollout.shifts, self.criteria.analysis.interval, self.propagation_delay, self.until)


class Measured(NamedTuple):
    """A rollout's test, brought up to date, and what else was seen."""

    test: SequentialTest
    measurements: Measurements
    checkpoint: Kept | None = None
    """To be kept for an operator that is restarted, once in a while; it is given back to `MetricsCollector`."""


class BeforeTraffic(NamedTuple):
    """What was measured last of a rollout that has no traffic yet, and of which spec."""

    about: tuple[object, ...]
    at: datetime
    measured: Measured


class MetricsCollector:
    """Turns sources' counters into evidence. Safe to use from several threads, one for each ModelDeployment."""

    def __init__(
        self,
        provider: MetricsProvider,
        *,
        for_queries: MetricsProvider | None = None,
        queries: Pool | None = None,
        kept: Callable[[Arms], Kept | None] = lambda arms: None,
        direct: DirectSource | None = None,
    ) -> None:
        """`for_queries` answers the user's own queries, which wait in a pool of their own.

        `kept` gives the last checkpoint of a rollout, and its record; it is asked at its first look. `direct` is
        whoever asks the routers themselves.
        """
        self._direct = direct
        self._kept = kept
        self._for_queries = for_queries or provider
        self._queries = queries or AtOnce()
        self._registry = SourceRegistry(provider)
        self._folds: dict[tuple[str, str], Fold] = {}
        self._before: dict[tuple[str, str], BeforeTraffic] = {}
        self._said_before: dict[tuple[str, str], Answers] = {}
        self._lock = threading.Lock()

    @property
    def rollouts(self) -> int:
        """How many are collected now."""
        return len(self._folds)

    def forget(self, namespace: str, name: str) -> None:
        """Drops what was kept of a ModelDeployment that has no rollout any more."""
        with self._lock:
            self._folds.pop((namespace, name), None)
            self._before.pop((namespace, name), None)
            self._said_before.pop((namespace, name), None)

    def watch(self, namespace: str, name: str, spec: ModelDeploymentSpec, revisions: Collection[str]) -> None:
        """Has the routers asked about these revisions from now on; about none where there are none."""
        if self._direct is None:
            return
        if revisions and self._sources(spec).may_be_read_directly:
            fold = self._folds.get((namespace, name))
            asked = names_asked(spec, revisions)
            self._direct.watch(namespace, name, asked, quick=fold is None or _rises(fold.test))
        else:
            self._direct.forget(namespace, name)

    def unwatch(self, namespace: str, name: str) -> None:
        """Has no router asked about a ModelDeployment any more."""
        if self._direct:
            self._direct.forget(namespace, name)

    def measure_directly(self, look: Look) -> Measured | None:
        """The rollout's test with all that its routers have told by now; None where none of them is read directly.

        Nobody is asked, and nobody is waited for: what comes from Prometheus is as it was told last.
        """
        sources = self._sources(look.spec)
        if not look.rollout.shifts or not sources.may_be_read_directly:
            return None
        fold = self._fold_of(look, sources)
        with fold.lock:
            read = self._take_direct(fold, look, sources)
            return None if read is None else Measured(fold.test, _measurements(fold, look, read))

    def still_says(self, verdict: Verdict, look: Look) -> bool:
        """Whether all that routers have told by now comes to the same answer, for the same reason, as it did last.

        Where there are signs of a worse candidate it doesn't: somebody has to look.
        """
        sources = self._sources(look.spec)
        if not look.rollout.shifts or not sources.may_be_read_directly:
            return False
        fold = self._fold_of(look, sources)
        with fold.lock:
            read = self._take_direct(fold, look, sources)
            if read is None or fold.test.rejected_at or _rises(fold.test):
                return False
            return in_short(fold.test, look.criteria, _measurements(fold, look, read)) == (
                verdict.answer,
                verdict.reason,
            )

    def holding(self, namespace: str, name: str) -> AbstractContextManager[object]:
        """Inside, nobody changes the rollout's test."""
        held = self._folds.get((namespace, name))
        return held.lock if held else nullcontext()

    def told_by_prometheus_at(self, namespace: str, name: str) -> datetime | None:
        """When a rollout that is read directly was last measured with Prometheus as well; None where it never was."""
        held = self._folds.get((namespace, name))
        return held.by_prometheus.at if held and held.by_prometheus else None

    def measure(self, look: Look) -> Measured | MetricsGap:
        """The rollout's test with all that was counted up to `until`, or why there is none before its first traffic.

        Two queries, one more for each of the user's own, and a few more the first time.
        """
        look = replace(look, until=_whole(look.until))
        sources = self._sources(look.spec)
        if not look.rollout.shifts:
            try:
                return self._before_traffic(look, sources)
            except MetricsUnavailable as error:
                return MetricsGap(Reason.METRICS_UNAVAILABLE, str(error))
        fold = self._fold_of(look, sources, may_be_late=True)
        with fold.lock:
            read = self._take_direct(fold, look, sources) if sources.may_be_read_directly else None
        missing = tuple(dict.fromkeys(gap for gap in _missing(fold, look, sources, read) if gap))
        judged = () if fold.test.rejected_at else judged_queries(look.spec, look.rollout)
        before = dict(fold.by_prometheus.answers) if fold.by_prometheus else {}
        answers = self._ask(look, judged, before)
        with fold.lock:
            fold.by_prometheus = ByPrometheus(look.until, missing, answers)
            return Measured(
                fold.test, _measurements(fold, look, read), _checkpoint(fold, look, numbers_each(self.rollouts))
            )

    def _take_direct(self, fold: Fold, look: Look, sources: Sources) -> DirectReadings | None:
        """Folds what the routers have told since the last time; None while none of them answers."""
        if self._direct is None:
            return None
        began = look.rollout.shifts[0].at
        after = fold.traffic.at if fold.is_direct else None
        read = self._direct.since(look.arms.namespace, look.arms.name, after or began - BEFORE_THE_FIRST)
        if read is None or not (read.instants or fold.is_direct):
            return None
        fold.known_as = read.known_as
        if not fold.is_direct:
            begins(fold, read, _frame(fold, look), look.criteria.analysis)
            if fold.provisional:
                fold.begin(_parameters(look, sources, fold))
        take_direct(fold, _between(read, fold.traffic.at, look.until + STEADY), _frame(fold, look))
        return read

    def say(self, look: Look, measured: Measured, verdict: Verdict, at: datetime) -> None:
        """Records what was said of what was measured last."""
        held = self._folds.get((look.arms.namespace, look.arms.name))
        if held is None or held.test is not measured.test:
            return  # before its first traffic
        seen, judged = measured.measurements, held.test.candidate.requests > 0
        exposed = 0 if judged else seen.exposed.requests + seen.shadowed.requests
        asked = Asked(look.criteria.false_promotion, look.criteria.promotes, exposed, seen.missing, seen.answers)
        held.say(at, asked, Said(verdict.answer, verdict.reason, verdict.message, verdict.evidence))

    def record(self, header: Header) -> str | None:
        """What has been recorded of a rollout, as text; None where nothing has, or it can't be kept."""
        held = self._folds.get((header.namespace, header.name))
        if held is None or held.identity != (header.candidate, header.started_at):
            return None
        return held.recorder.text(header)

    def exposed(self, namespace: str, name: str) -> Counts:
        """What the candidate has answered, as far as it has been collected. Nobody is asked."""
        held = self._folds.get((namespace, name))
        return held.traffic.exposed if held else Counts()

    def shadowed(self, namespace: str, name: str) -> Counts:
        """The same of copies, whose answers nobody got."""
        held = self._folds.get((namespace, name))
        return held.traffic.shadowed if held else Counts()

    def share(
        self, namespace: str, name: str, spec: ModelDeploymentSpec, span: timedelta, until: datetime
    ) -> Share | None:
        """Requests per revision in the last `span`; None if the counters aren't there at both ends.

        While a rollout is collected, its own points are used, up to one interval later, and nothing is asked. What is
        asked for is the last `span` that has been counted, which ends earlier where samples come late.
        """
        held = self._folds.get((namespace, name))
        if held and held.traffic.recent:
            return share_of(held.traffic.recent, span)
        if self._direct and self._sources(spec).may_be_read_directly:
            read = self._direct.since(namespace, name, until - 2 * SHARE_SPAN)
            if read and not read.silent and not read.readings.doubt:
                return share_of(list(map(Reading, read.instants, read.readings.samples)), SHARE_SPAN)
        try:
            return self._share_asked_for(self._sources(spec), Selection(namespace, name), span, until)
        except MetricsUnavailable:
            return None

    def share_so_far(self, namespace: str, name: str) -> Share | None:
        """The same of routers that are read directly, over the last seconds. Nobody is asked."""
        held = self._folds.get((namespace, name))
        return share_of(held.traffic.recent, SHARE_SPAN) if held and held.traffic.recent else None

    def _share_asked_for(
        self, sources: Sources, everybody: Selection, span: timedelta, until: datetime
    ) -> Share | None:
        readings = sources.traffic.readings(everybody, until - span, span, 2)
        if readings.doubt:
            return None
        before, after = (Reading(at, each) for at, each in zip((until - span, until), readings.samples, strict=True))
        if share := share_between(before, after, span):
            return share
        if (newest := counted_until(after, span)) is None:
            return None
        # Samples come later than a span: they say nothing of the last one.
        since = _whole(newest - span)
        earlier = sources.traffic.readings(everybody, since, span, 1)
        return None if earlier.doubt else share_between(Reading(since, earlier.samples[0]), after, span)

    def _sources(self, spec: ModelDeploymentSpec) -> Sources:
        sources = self._registry.sources(spec.router, spec.analysis.requests_from)
        if spec.analysis.source is CounterSource.PROMETHEUS:
            return replace(sources, may_be_read_directly=False)
        return sources

    def _fold_of(self, look: Look, sources: Sources, *, may_be_late: bool = False) -> Fold:
        key, identity = (look.arms.namespace, look.arms.name), (look.rollout.candidate, look.rollout.started_at)
        fold = self._folds.get(key)
        if fold is None or fold.identity != identity:
            fold = _resumed(self._kept(look.arms), look)
            fold = fold or Fold.begun(identity, _parameters(look, sources, None))
            fold.recorder.guard = threading.Lock()
            fold.lock = threading.RLock()
            with self._lock:
                held = self._folds.get(key)
                fold = self._folds[key] = held if held and held.identity == identity else fold
        with fold.lock:
            # A look that has waited for Prometheus is older than what was read directly meanwhile, by any clock.
            if not (may_be_late and fold.is_direct and sources.may_be_read_directly):
                _follow_the_clock(fold, look)
            _follow_edits(fold, look, sources)
        return fold

    def _before_traffic(self, look: Look, sources: Sources) -> Measured | MetricsGap:
        """Whether all could be measured if the candidate had traffic, and how much stable has.

        Each of its pods that gets ready is a look of its own, and hardly anything has changed since the last.
        """
        key = look.arms.namespace, look.arms.name
        about = look.arms, look.rollout.started_at, look.rollout.step, look.spec
        last = self._before.get(key)
        if last and last.about == about and timedelta() <= look.until - last.at < LOOK:
            return last.measured
        measured = self._asked_before_traffic(look, sources)
        if isinstance(measured, Measured):
            self._before[key] = BeforeTraffic(about, look.until, measured)
        return measured

    def _asked_before_traffic(self, look: Look, sources: Sources) -> Measured | MetricsGap:
        is_read = self._reads_stable(look, sources)
        if look.spec.analysis.source is CounterSource.ROUTERS and not is_read:
            return nobody()
        try:
            return self._by_prometheus(look, sources, read_directly=is_read)
        except MetricsUnavailable:
            # What is read directly suffices to roll back by; whatever a promotion needs is missed then.
            if not is_read or any(not query.dry_run for query in look.criteria.analysis.queries):
                raise
            return Measured(SequentialTest(_parameters(look, sources, None)), Measurements(()))

    def _reads_stable(self, look: Look, sources: Sources) -> bool:
        """Whether routers that are read directly tell of stable."""
        if self._direct is None or not sources.may_be_read_directly:
            return False
        read = self._direct.since(look.arms.namespace, look.arms.name, look.until - SHARE_SPAN)
        return read is not None and any(key.revision == look.arms.stable for key in ({}, *read.readings.samples)[-1])

    def _by_prometheus(self, look: Look, sources: Sources, *, read_directly: bool) -> Measured | MetricsGap:
        arms, propagation_delay = look.arms, look.propagation_delay
        now = stable_now(sources, arms, look.until, propagation_delay)
        if doubt := _doubt(now.readings, sources.traffic.name, look):
            return doubt
        if not now.is_counted:
            return sources.traffic.gap(arms.namespace, arms.name)
        if slow := slower_scrape(now.readings, propagation_delay):
            return _scraped_slowly(slow, propagation_delay)
        of_stable, judged = asked_about_stable(look.spec, arms.stable), judged_queries(look.spec, look.rollout)
        key = arms.namespace, arms.name
        answers = self._ask(look, (*of_stable, *judged), dict(self._said_before.get(key, ())))
        self._said_before[key] = answers
        about_stable, queries = of_today(of_stable, answers), look.criteria.analysis.queries
        if unusable := unusable_query(about_stable, queries):
            return MetricsGap(
                Reason.QUERY_UNUSABLE, f"{unusable}; it was asked about stable, and has to work on that first"
            )
        if pending := pending_query(about_stable, queries):
            return MetricsGap(Reason.QUERY_PENDING, f"{pending}; it is asked about stable first")
        baseline = now.baseline and replace(now.baseline, read_directly=read_directly)
        return Measured(
            SequentialTest(_parameters(look, sources, None)),
            Measurements((), answers=of_today(judged, answers), baseline=baseline),
        )

    def _ask(self, look: Look, judged: tuple[JudgedQuery, ...], before: Mapping[JudgedQuery, QueryAnswer]) -> Answers:
        """What they say. Where an answer comes late, it is one to what was asked then."""
        if not judged:
            return ()
        key, step = (look.arms.namespace, look.arms.name), look.criteria.analysis.interval

        def asked() -> Answers:
            said = ask(self._for_queries, judged, look.arms, until=look.until, step=step, before=before)
            return tuple(zip(judged, said, strict=True))

        try:
            answers = self._queries.ask(key, asked)
        except MetricsUnavailable as error:
            return all_say(judged, str(error), before)
        return answers or all_say(judged, "its answer is still to come", before)


def names_asked(spec: ModelDeploymentSpec, revisions: Collection[str]) -> Collection[str]:
    """Under which names routers are asked for revisions' counters.

    Those of calls by gRPC, of copies and of groups only where there may be some: a router of an older release knows
    none of them.
    """
    strategy, steps = spec.strategy, range(spec.strategy.step_of_all)
    suffixes = ["", *([GRPC_SUFFIX] if spec.route_settings.grpc else [])]
    suffixes += [MIRROR_SUFFIX] if any(map(strategy.mirror_at, steps)) else []
    suffixes += [MATCH_SUFFIX] if any(map(strategy.rules_at, steps)) else []
    return [revision + suffix for suffix in suffixes for revision in revisions]


def increments(sources: Sources, comparison: Comparison, grid: tuple[Segment, ...]) -> Iterator[Increment]:
    """All of a rollout's increments from the sources' counters, point by point, read in parts.

    Raises MetricsUnavailable.
    """
    traffic, details = TrafficFold(), DetailsFold()
    for segment in grid:
        detailed: dict[datetime, Increment] = {}
        for first, read in _blocks_of(sources, comparison, segment, None):
            details, more = accumulate_details(details, comparison, segment, first, read.samples)
            detailed |= {each.until: each for each in more}
        for first, read in _points_of(sources, comparison, segment, None):
            traffic, counted = accumulate_traffic(traffic, comparison, segment, first, read.samples)
            for each in counted:
                yield _joined(each, detailed.pop(each.until, None))


def _joined(traffic: Increment, details: Increment | None) -> Increment:
    if details is None:
        return traffic
    stable, candidate = traffic.stable + details.stable, traffic.candidate + details.candidate
    return replace(details, stable=stable, candidate=candidate)


def _resumed(kept: Kept | None, look: Look) -> Fold | None:
    """The fold as it was written down; None where there is none, or none of this rollout."""
    if kept is None:
        return None
    try:
        return resumed(kept, look.arms, look.rollout)
    except MALFORMED as error:
        log.warning("%s/%s: its checkpoint makes no sense: %r", look.arms.namespace, look.arms.name, error)
        return None


def _checkpoint(fold: Fold, look: Look, every: timedelta) -> Kept | None:
    """The fold as text, and its record as of the same moment, where they weren't written for a while.

    What came since is read again after a restart.
    """
    if fold.written_at is None or fold.written_at > look.until:
        fold.written_at = look.until
    if look.until - fold.written_at < every:
        return None
    fold.written_at = look.until
    evidence = to_text(fold, look.arms, look.rollout)
    return Kept(evidence, fold.recorder.text(Header.of(look.arms, look.rollout)) or "") if evidence else None


def _measurements(fold: Fold, look: Look, read: DirectReadings | None) -> Measurements:
    """All that is known of a rollout besides its test."""
    told = fold.by_prometheus
    known = (*told.missing,) if told else (STILL_TO_COME,)
    silent = {name: why for name, why in read.silent.items() if name not in fold.covered} if read else {}
    here = (fold.traffic_doubt, silence(silent)) if read else ()
    return Measurements(
        (),
        fold.test.parameters.reference,
        fold.traffic.exposed,
        fold.test.parameters.overdispersion,
        of_today(judged_queries(look.spec, look.rollout), told.answers) if told and not fold.test.rejected_at else (),
        shadowed=fold.traffic.shadowed,
        matched=fold.traffic.matched,
        before=fold.baseline.before if fold.baseline else Counts(),
        missing=tuple(dict.fromkeys(gap for gap in (*here, *known) if gap)),
        read_from=_read_from(fold, read),
    )


def _read_from(fold: Fold, read: DirectReadings | None) -> str:
    if not fold.is_direct:
        return ""
    return "read directly from the routers" if read else "read from Prometheus, as no router answers"


def _rises(test: SequentialTest) -> bool:
    """Whether there is evidence that the candidate is worse, or might be by the next look."""
    return test.rejected_at is None and is_urgent(test.last.log_worse, test.increments)


def _between(read: DirectReadings, done: datetime | None, most: datetime) -> DirectReadings:
    """Without the readings that have been folded, and those of a time whose split the look knows nothing of."""
    first = 0 if done is None else bisect_right(read.instants, done)
    told = slice(first, bisect_right(read.instants, most))
    samples = read.readings.samples[told]
    return replace(read, instants=read.instants[told], readings=replace(read.readings, samples=samples))


def _frame(fold: Fold, look: Look) -> Frame:
    span = max(look.propagation_delay, SHARE_SPAN)
    return Frame(_comparison(fold, look), look.segments, span, look.pods)


def _follow_the_clock(fold: Fold, look: Look) -> None:
    """Where it was set back, what comes now is counted from here on."""
    ahead = STEADY if fold.is_direct else max(look.criteria.analysis.interval, STEADY)
    if fold.traffic.at and fold.traffic.at > look.until + ahead:
        fold.traffic = _counted_anew(fold.traffic, look.until)
        fold.details = replace(fold.details, at=look.until, last=None, warm_from={})


def _counted_anew(fold: TrafficFold, at: datetime | None) -> TrafficFold:
    return TrafficFold(at=at, exposed=fold.exposed, shadowed=fold.shadowed, matched=fold.matched)


def _follow_edits(fold: Fold, look: Look, sources: Sources) -> None:
    """What an edit of `analysis` in a rollout means: times only go forward, and what was shown worse stays so.

    Evidence is kept where its test is the same afterwards; otherwise it is gathered anew from here on.
    """
    if fold.counted_by not in ("", sources.traffic.name):
        fold.traffic = _counted_anew(fold.traffic, fold.traffic.at)
    fold.counted_by = sources.traffic.name
    parameters = _parameters(look, sources, fold)
    if parameters.is_same_test(fold.test.parameters):
        fold.edit(parameters)
    elif fold.test.rejected_at is None:
        fold.baseline, fold.since = None, (fold.traffic, fold.details)
        if known := fold.provisional:
            fold.provisional = without_clumps(known.reference, known.before, look.criteria.analysis)
        fold.since_to_reread = fold.traffic_to_reread or fold.details_to_reread
        fold.begin(_parameters(look, sources, fold))


def _parameters(look: Look, sources: Sources, fold: Fold | None) -> SequentialTestParameters:
    known = (fold and (fold.baseline or fold.provisional)) or _provisional(look.criteria.analysis)
    analysis = look.criteria.analysis
    apart = sources.points_apart(delay_points(look.propagation_delay, analysis.interval))
    return SequentialTestParameters(analysis, known.reference, known.overdispersion, known.before, apart)


def _provisional(analysis: Analysis) -> Baseline:
    """What traffic is judged by while nothing could be learned from stable: the most careful that there is."""
    return Baseline(NO_DURATIONS, Overdispersion(analysis.overdispersion or LARGEST), Counts())


def _missing(fold: Fold, look: Look, sources: Sources, read: DirectReadings | None) -> Iterator[MetricsGap | None]:
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
        take_from_prometheus(fold, told, frozenset() if only_directly else silent, _frame(fold, look), look.until)
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
    arms = look.arms
    if read is None or read.silent:
        return Selection(arms.namespace, arms.name, latency=fold.latency_by_routers)
    return Selection(arms.namespace, arms.name, looks_back=min(STALE, 2 * look.propagation_delay + COMPARED_EVERY))


def _instead(told: Readings, look: Look, sources: Sources) -> MetricsGap | None:
    """Why Prometheus' word can't be taken while no router answers; None where it can."""
    if not told.samples[-1] and not told.doubt:
        return sources.traffic.gap(look.arms.namespace, look.arms.name)
    return _doubt(told, sources.traffic.name, look)


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
            fold.judge_again(_parameters(look, sources, fold))
            return None
        fold.begin(_parameters(look, sources, fold))
        fold.traffic, fold.details = fold.since
        if fold.since_to_reread:
            fold.traffic_to_reread = fold.details_to_reread = True
            fold.since_to_reread = False
    return _take_traffic(fold, look, sources)


def _take_traffic(fold: Fold, look: Look, sources: Sources) -> MetricsGap | None:
    """Folds the points that are new, up to what one look may read."""
    if fold.traffic_to_reread:
        _reread_traffic(fold, look, sources)
    comparison, parts = _comparison(fold, look), 0
    for segment in look.segments:
        for first, read in _points_of(sources, comparison, segment, fold.traffic.at):
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
    comparison = _comparison(fold, look)
    fold.traffic, counted = accumulate_traffic(fold.traffic, comparison, segment, first, read.samples[:known])
    for increment in counted:
        fold.take(Traffic(PROMETHEUS, increment))
    fold.traffic_doubt = _doubt(read, sources.traffic.name, look) or _still(fold.differed, look.until)
    return known


def _take_details(fold: Fold, look: Look, sources: Sources) -> MetricsGap | None:
    """The same for the details."""
    if fold.details_to_reread:
        _reread_details(fold, look, sources)
    comparison, parts = _comparison(fold, look, of_servers=True), 0
    for segment in look.segments:
        for first, read in _new_blocks_of(fold, sources, comparison, segment):
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
    everybody = Selection(look.arms.namespace, look.arms.name)
    fold.traffic, answer = reread_traffic(
        fold.traffic, look.arms, lambda start, step, count: sources.traffic.readings(everybody, start, step, count)
    )
    fold.traffic_to_reread = False
    if answer and answer.doubt:
        fold.traffic_doubt = answer.doubt


def _reread_details(fold: Fold, look: Look, sources: Sources) -> None:
    both = _of_both(_comparison(fold, look), _at_most(look.segments[0].blocks))
    fold.details, answer = reread_details(
        fold.details, look.arms, lambda start, step, count: _read_details(sources, both, start, step, count)
    )
    fold.details_to_reread = False
    if answer and answer.doubt:
        fold.details_doubt = answer.doubt


def _comparison(fold: Fold, look: Look, *, of_servers: bool = False) -> Comparison:
    reference = NO_DURATIONS if of_servers and fold.latency_by_routers else fold.test.parameters.reference
    pod_bounds = fold.baseline.pod_bounds if fold.baseline else None
    return Comparison(look.arms, look.rollout.shifts[0].at, reference, pod_bounds)


def _points_of(
    sources: Sources, comparison: Comparison, segment: Segment, done: datetime | None
) -> Iterator[tuple[int, Readings]]:
    """The segment's points later than `done`, a part at a time: the first one's index, and what was read."""
    everybody = Selection(comparison.arms.namespace, comparison.arms.name)
    for first, count in segment.parts(done, POINTS_AT_ONCE):
        yield first, sources.traffic.readings(everybody, segment.instant(first), segment.step, count)


def _blocks_of(
    sources: Sources, comparison: Comparison, segment: Segment, done: datetime | None
) -> Iterator[tuple[int, Readings]]:
    """The same for the ends of its blocks."""
    blocks = segment.blocks
    for first, count in blocks.parts(done, BLOCKS_AT_ONCE):
        yield first, _details_of(sources, comparison, blocks, (first, count), _at_most(blocks))


def _new_blocks_of(
    fold: Fold, sources: Sources, comparison: Comparison, segment: Segment
) -> Iterator[tuple[int, Readings]]:
    """The same, but what has been read isn't read again: thousands of series, each at many times.

    All of it is, where the new doesn't tell the same by itself: whoever answers isn't as far as whoever did before, or
    a process isn't believed.
    """
    blocks = segment.blocks
    for part in blocks.parts(fold.details.at, BLOCKS_AT_ONCE):
        whole = _at_most(blocks)
        new = whole if part[1] > 1 or fold.details_doubt else _since_last(fold, blocks.instant(part[0]), whole)
        read = _details_of(sources, comparison, blocks, part, new)
        if new < whole and (read.doubt or _lacks(read, fold.details)):
            read = _details_of(sources, comparison, blocks, part, whole)
            fold.behind = min(whole, 2 * timedelta(seconds=read.interval or 0.0))
        yield part[0], read


def _details_of(
    sources: Sources, comparison: Comparison, blocks: Segment, part: tuple[int, int], looks_back: timedelta
) -> Readings:
    first, count = part
    return _read_details(sources, _of_both(comparison, looks_back), blocks.instant(first), blocks.step, count)


def _of_both(comparison: Comparison, looks_back: timedelta) -> Selection:
    arms = comparison.arms
    return Selection(
        arms.namespace, arms.name, (arms.stable, arms.candidate), comparison.pod_bounds, looks_back=looks_back
    )


def _read_details(sources: Sources, both: Selection, start: datetime, step: timedelta, count: int) -> Readings:
    """All of the details; what was answered by itself where only a few bounds of latency are read."""
    wanted = [both] if both.bounds is None else [both, replace(both, bounds=None, only_predictions=True)]
    return together([sources.detail_readings(each, start, step, count) for each in wanted], count)


def _at_most(blocks: Segment) -> timedelta:
    return min(STALE, blocks.step + LATEST)


def _since_last(fold: Fold, at: datetime, most: timedelta) -> timedelta:
    """How far back the last sample of each process is that was taken: how far it fell is told by that one."""
    if fold.details.last is None:
        return most
    oldest = min((counted.at for counted in fold.details.last.sample.values()), default=0.0)
    return min(most, timedelta(seconds=math.ceil(at.timestamp() - oldest) + 1) + fold.behind)


def _lacks(readings: Readings, details: DetailsFold) -> bool:
    """Whether a process isn't there that was."""
    before = details.last.sample if details.last else {}
    return not {key.owner for key in before} <= {key.owner for key in readings.samples[-1]}


def _doubt(readings: Readings, who: str, look: Look) -> MetricsGap | None:
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


def _whole(at: datetime) -> datetime:
    """Prometheus answers at whole seconds."""
    return at.replace(microsecond=0)


def _histograms_differ() -> MetricsGap:
    return MetricsGap(
        Reason.HISTOGRAMS_DIFFER,
        "latency can't be compared: the model servers of the two revisions have different buckets; use one server "
        "image for both",
    )


def _scraped_slowly(seconds: float, propagation_delay: timedelta) -> MetricsGap:
    return MetricsGap(
        Reason.SCRAPE_INTERVAL_DIFFERS,
        f"Prometheus reads these counters only every {seconds:.0f} s, and after a shift of traffic the judge waits "
        f"{format_duration(propagation_delay)}: what came before it would be taken for what came after; set the "
        f"chart's prometheus.scrapeIntervalSeconds to {math.ceil(seconds)}",
    )
