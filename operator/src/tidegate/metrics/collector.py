"""What has been measured of a rollout: each source asked by itself, its counters folded into the rollout's test.

Traffic comes first and is judged first: a rollback that it calls for waits for nothing else. A source that fails, or
makes no sense, takes its own metrics away and no others. Nothing grows while a rollout lasts.
"""

import logging
import math
import threading
from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from tidegate.errors import MetricsUnavailable
from tidegate.judge.e_process import LOOK
from tidegate.judge.query_limits import pending_query, unusable_query
from tidegate.judge.sampling import is_urgent
from tidegate.judge.sequential_test import SequentialTest
from tidegate.judge.verdict import in_short
from tidegate.metrics.accumulate import Reading, counted_until, share_between, share_of
from tidegate.metrics.checkpoint import Kept, resumed, to_text
from tidegate.metrics.direct_evidence import SHARE_SPAN, begins, nobody, silence, take_direct
from tidegate.metrics.edits import STEADY, follow_edits, follow_the_clock, parameters_of
from tidegate.metrics.fold import ByPrometheus, Fold
from tidegate.metrics.from_prometheus import doubt_in, fold_sources, frame_of, inputs_of
from tidegate.metrics.look import Look, Measured
from tidegate.metrics.preflight import slower_scrape, stable_now
from tidegate.metrics.provider import DirectReadings, DirectSource, MetricsProvider, Selection, Sources
from tidegate.metrics.query_pool import AtOnce, Pool
from tidegate.metrics.record import MALFORMED, Asked, Header, Said
from tidegate.metrics.registry import SourceRegistry
from tidegate.metrics.user_queries import Answers, all_say, ask, of_today
from tidegate.model.evidence import Counts, Measurements, MetricsGap, QueryAnswer, Verdict
from tidegate.model.judged_queries import JudgedQuery, asked_about_stable, judged_queries
from tidegate.model.reasons import Reason
from tidegate.model.spec import CounterSource, ModelDeploymentSpec
from tidegate.model.traffic import NO_ROUTE, Arms, RouteState, Share
from tidegate.model.units import format_duration
from tidegate.model.writing_pace import numbers_each
from tidegate.resources.names import GRPC_SUFFIX, MATCH_SUFFIX, MIRROR_SUFFIX

BEFORE_THE_FIRST = timedelta(seconds=3)
"""How long before the candidate's first request routers are read that are asked directly."""
STILL_TO_COME = MetricsGap(Reason.METRICS_UNAVAILABLE, "Prometheus' answer is still to come")

log = logging.getLogger(__name__)


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

    def watch(
        self,
        namespace: str,
        name: str,
        spec: ModelDeploymentSpec,
        revisions: Collection[str],
        route: RouteState = NO_ROUTE,
    ) -> None:
        """Has the routers asked about these revisions from now on; about none where there are none."""
        if self._direct is None:
            return
        if revisions and self._sources(spec, route).may_be_read_directly:
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
        sources = self._sources(look.spec, look.route)
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
        sources = self._sources(look.spec, look.route)
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
        sources = self._sources(look.spec, look.route)
        if not look.rollout.shifts:
            try:
                return self._before_traffic(look, sources)
            except MetricsUnavailable as error:
                return MetricsGap(Reason.METRICS_UNAVAILABLE, str(error))
        fold = self._fold_of(look, sources, may_be_late=True)
        with fold.lock:
            read = self._take_direct(fold, look, sources) if sources.may_be_read_directly else None
        missing = tuple(dict.fromkeys(gap for gap in fold_sources(fold, look, sources, read) if gap))
        judged = () if fold.test.rejected_at else judged_queries(look.spec, look.rollout)
        before = dict(fold.by_prometheus.answers) if fold.by_prometheus else {}
        answers = self._ask(look, judged, before)
        inputs, unseen = inputs_of(sources, look)
        with fold.lock:
            fold.by_prometheus = ByPrometheus(look.until, (*missing, *unseen), answers, inputs)
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
            begins(fold, read, frame_of(fold, look), look.criteria.analysis)
            if fold.provisional:
                fold.begin(parameters_of(look, sources, fold))
        take_direct(fold, _between(read, fold.traffic.at, look.until + STEADY), frame_of(fold, look))
        return read

    def say(self, look: Look, measured: Measured, verdict: Verdict, at: datetime) -> None:
        """Records what was said of what was measured last."""
        held = self._folds.get((look.arms.namespace, look.arms.name))
        if held is None or held.test is not measured.test:
            return  # before its first traffic
        seen, judged = measured.measurements, held.test.candidate.requests > 0
        exposed = 0 if judged else seen.exposed.requests + seen.shadowed.requests
        asked = Asked(
            look.criteria.false_promotion, look.criteria.promotes, exposed, seen.missing, seen.answers, seen.inputs
        )
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
        self,
        namespace: str,
        name: str,
        spec: ModelDeploymentSpec,
        span: timedelta,
        until: datetime,
        route: RouteState = NO_ROUTE,
    ) -> Share | None:
        """Requests per revision in the last `span`; None if the counters aren't there at both ends.

        While a rollout is collected, its own points are used, up to one interval later, and nothing is asked. What is
        asked for is the last `span` that has been counted, which ends earlier where samples come late.
        """
        held = self._folds.get((namespace, name))
        if held and held.traffic.recent:
            return share_of(held.traffic.recent, span)
        if self._direct and self._sources(spec, route).may_be_read_directly:
            read = self._direct.since(namespace, name, until - 2 * SHARE_SPAN)
            if read and not read.silent and not read.readings.doubt:
                return share_of(list(map(Reading, read.instants, read.readings.samples)), SHARE_SPAN)
        try:
            return self._share_asked_for(self._sources(spec, route), Selection(namespace, name), span, until)
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

    def _sources(self, spec: ModelDeploymentSpec, route: RouteState) -> Sources:
        sources = self._registry.sources(spec.router, spec.analysis.requests_from, route)
        if spec.analysis.source is CounterSource.PROMETHEUS:
            return replace(sources, may_be_read_directly=False)
        return sources

    def _fold_of(self, look: Look, sources: Sources, *, may_be_late: bool = False) -> Fold:
        key, identity = (look.arms.namespace, look.arms.name), (look.rollout.candidate, look.rollout.started_at)
        fold = self._folds.get(key)
        if fold is None or fold.identity != identity:
            fold = _resumed(self._kept(look.arms), look)
            fold = fold or Fold.begun(identity, parameters_of(look, sources, None))
            fold.recorder.guard = threading.Lock()
            fold.lock = threading.RLock()
            with self._lock:
                held = self._folds.get(key)
                fold = self._folds[key] = held if held and held.identity == identity else fold
        with fold.lock:
            # A look that has waited for Prometheus is older than what was read directly meanwhile, by any clock.
            if not (may_be_late and fold.is_direct and sources.may_be_read_directly):
                follow_the_clock(fold, look)
            follow_edits(fold, look, sources)
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
            return Measured(SequentialTest(parameters_of(look, sources, None)), Measurements(()))

    def _reads_stable(self, look: Look, sources: Sources) -> bool:
        """Whether routers that are read directly tell of stable."""
        if self._direct is None or not sources.may_be_read_directly:
            return False
        read = self._direct.since(look.arms.namespace, look.arms.name, look.until - SHARE_SPAN)
        return read is not None and any(key.revision == look.arms.stable for key in ({}, *read.readings.samples)[-1])

    def _by_prometheus(self, look: Look, sources: Sources, *, read_directly: bool) -> Measured | MetricsGap:
        arms, propagation_delay = look.arms, look.propagation_delay
        now = stable_now(sources, arms, look.until, propagation_delay)
        if doubt := doubt_in(now.readings, sources.traffic.name, look):
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
            SequentialTest(parameters_of(look, sources, None)),
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
        inputs=told.inputs if told else None,
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


def _whole(at: datetime) -> datetime:
    """Prometheus answers at whole seconds."""
    return at.replace(microsecond=0)


def _scraped_slowly(seconds: float, propagation_delay: timedelta) -> MetricsGap:
    return MetricsGap(
        Reason.SCRAPE_INTERVAL_DIFFERS,
        f"Prometheus reads these counters only every {seconds:.0f} s, and after a shift of traffic the judge waits "
        f"{format_duration(propagation_delay)}: what came before it would be taken for what came after; set the "
        f"chart's prometheus.scrapeIntervalSeconds to {math.ceil(seconds)}",
    )
