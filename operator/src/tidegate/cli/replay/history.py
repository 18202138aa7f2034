"""What Prometheus still holds of a rollout: the same counters at the same points, fetched anew. Reads only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tidegate.cli.common.errors import CannotReplay
from tidegate.cli.replay.engine import Answers
from tidegate.cli.replay.recorded import Recorded, expected_increments
from tidegate.errors import MetricsUnavailable
from tidegate.judge.sampling import INGESTION_LAG, delay_points, segments
from tidegate.judge.users import as_drawn
from tidegate.metrics.accumulate import Comparison
from tidegate.metrics.preflight import baseline_of
from tidegate.metrics.prometheus_parts import increments
from tidegate.metrics.provider import CounterQuery, MetricsProvider, Readings
from tidegate.metrics.registry import SourceRegistry
from tidegate.metrics.user_queries import ask, filled
from tidegate.model.evidence import Measurements, QueryAnswer
from tidegate.model.judged_queries import JudgedQuery, judged_queries
from tidegate.model.spec import BLUE_GREEN_SWITCHED, ModelDeploymentSpec
from tidegate.model.status import Rollout
from tidegate.model.traffic import Arms
from tidegate.model.units import format_instant


@dataclass(frozen=True)
class History:
    """All that can be seen of it now. `missing` increments were judged then, or should have been, and are gone."""

    measurements: Measurements
    answers: Mapping[datetime, Answers]
    missing: int


def fetch_history(
    provider: MetricsProvider, arms: Arms, recorded: Recorded, spec: ModelDeploymentSpec, propagation_delay: timedelta
) -> History:
    """Raises CannotReplay where Prometheus doesn't hold it any more, MetricsUnavailable where it doesn't answer."""
    expected = expected_increments(recorded, spec.analysis.interval, propagation_delay)
    if not expected and recorded.outcome is None:
        raise CannotReplay(f"the judge's first increment of {recorded.candidate} is still to come")
    if not expected:
        raise CannotReplay(f"{recorded.candidate} ended before the judge's first increment: {recorded.message}")
    measurements = _measurements(provider, arms, recorded, spec, propagation_delay)
    if not measurements.increments:
        span = f"from {format_instant(recorded.began)} to {format_instant(recorded.until)}"
        raise CannotReplay(
            f"Prometheus has no counters of {arms.namespace}/{arms.name} {span}: it keeps no data that old, or it is "
            "another Prometheus than the operator's"
        )
    return History(
        measurements,
        _answers(provider, arms, recorded, spec, propagation_delay),
        expected - len(measurements.increments),
    )


def _measurements(
    provider: MetricsProvider, arms: Arms, recorded: Recorded, spec: ModelDeploymentSpec, propagation_delay: timedelta
) -> Measurements:
    sources = SourceRegistry(provider).sources(spec.router, spec.analysis.requests_from)
    baseline = baseline_of(sources, arms, spec.analysis, recorded.began, propagation_delay)
    until = (recorded.until - INGESTION_LAG).replace(microsecond=0)
    grid = segments(recorded.shifts, spec.analysis.interval, propagation_delay, until)
    found = tuple(increments(sources, Comparison(arms, recorded.began, baseline.reference), grid))
    apart = sources.points_apart(delay_points(propagation_delay, spec.analysis.interval))
    return Measurements(
        found,
        baseline.reference,
        overdispersion=as_drawn(baseline.overdispersion, spec.route_settings.sticky),
        before=baseline.before,
        points_apart=apart,
    )


def _answers(
    provider: MetricsProvider, arms: Arms, recorded: Recorded, spec: ModelDeploymentSpec, propagation_delay: timedelta
) -> dict[datetime, Answers]:
    """What the user's own queries said at each point at which the operator asked them."""
    queries, step = spec.analysis.queries, spec.analysis.interval
    if not queries:
        return {}
    fetched = _FetchedSeries(step)
    grid = segments(recorded.shifts, step, propagation_delay, recorded.until - INGESTION_LAG)
    for query in (each for each in queries if not each.unusable):
        promql = filled(query.query, arms, arms.candidate)
        for segment in grid:
            if segment.points:
                fetched.keep(promql, segment.start, provider.series(promql, segment.start, step, segment.points))
    found: dict[datetime, Answers] = {}
    before: dict[JudgedQuery, QueryAnswer] = {}
    for segment, rollout in zip(grid, _rollouts(recorded, spec), strict=False):
        judged = judged_queries(spec, rollout)
        for at in map(segment.instant, range(1, segment.points)):
            found[at] = ask(fetched, judged, arms, until=at, step=step, before=before)
            before = dict(zip(judged, found[at], strict=True))
    return found


def _rollouts(recorded: Recorded, spec: ModelDeploymentSpec) -> list[Rollout]:
    """As it stood after each of its shifts."""
    in_steps, shifts = spec.strategy.moves_in_steps, recorded.shifts
    return [
        Rollout(
            recorded.candidate,
            recorded.started_at,
            number if in_steps else BLUE_GREEN_SWITCHED,
            shift.at,
            shifts[:number],
        )
        for number, shift in enumerate(shifts, 1)
    ]


class _FetchedSeries:
    """Series that were fetched in one go, and answer for a few points at a time as Prometheus would have."""

    def __init__(self, step: timedelta) -> None:
        self._step = step
        self._kept: dict[tuple[str, datetime], list[float | None]] = {}

    def keep(self, promql: str, start: datetime, series: Sequence[Sequence[float | None]]) -> None:
        for index in range(max((len(values) for values in series), default=0)):
            self._kept[promql, start + index * self._step] = [values[index] for values in series]

    def series(self, promql: str, start: datetime, step: timedelta, points: int) -> list[list[float | None]]:
        columns = [self._kept.get((promql, start + index * step), []) for index in range(points)]
        width = max(map(len, columns))
        rows = [[column[index] if index < len(column) else None for column in columns] for index in range(width)]
        return [row for row in rows if any(value is not None for value in row)]

    def readings(self, query: CounterQuery, start: datetime, step: timedelta, points: int) -> Readings:
        raise MetricsUnavailable("only the user's own queries were kept")
