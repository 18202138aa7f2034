"""What Prometheus still holds of a rollout: the operator's own grid of polls, asked anew. Reads only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tidegate.cli.errors import CannotReplay
from tidegate.cli.replaying import Answers, Recorded, expected_polls
from tidegate.clients.counters import counters_for
from tidegate.clients.prometheus import CounterQuery, Metrics
from tidegate.clients.queries import ask, filled
from tidegate.clients.sight import Witness
from tidegate.decide.move import INGESTION_LAG
from tidegate.errors import MetricsUnavailable
from tidegate.judge.grid import segments
from tidegate.judge.increments import Sample
from tidegate.model.evidence import Blindness, Sight
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.traffic import Arms
from tidegate.model.units import format_instant


@dataclass(frozen=True)
class Hindsight:
    """All that can be seen of it now. `missing` polls were judged then, or ought to have been, and aren't there."""

    sight: Sight
    answers: Mapping[datetime, Answers]
    missing: int


def look_back(
    metrics: Metrics, arms: Arms, recorded: Recorded, spec: ModelDeploymentSpec, settle: timedelta
) -> Hindsight:
    """Raises CannotReplay where Prometheus doesn't hold it any more, MetricsUnavailable where it doesn't answer."""
    expected = expected_polls(recorded, spec.analysis.interval, settle)
    if not expected and recorded.outcome is None:
        raise CannotReplay(f"the judge's first poll of {recorded.candidate} is still to come")
    if not expected:
        raise CannotReplay(f"{recorded.candidate} ended before the judge's first poll: {recorded.message}")
    counters = counters_for(spec.router, spec.analysis.requests_from)
    until = recorded.until - INGESTION_LAG
    rollout, analysis = recorded.rollout(), spec.analysis
    sight = Witness(metrics).sight(arms, rollout, analysis, counters, settle=settle, until=until)
    if isinstance(sight, Blindness) and sight.reason == "MetricsUnavailable":
        raise MetricsUnavailable(sight.message)
    if isinstance(sight, Blindness) and sight.reason == "HistogramsDiffer":
        raise CannotReplay(sight.message)
    if isinstance(sight, Blindness) or not sight.polls:
        span = f"from {format_instant(recorded.began)} to {format_instant(recorded.until)}"
        raise CannotReplay(
            f"Prometheus has no counters of {arms.namespace}/{arms.name} {span}: it keeps no data that old, or it is "
            "another Prometheus than the operator's"
        )
    return Hindsight(sight, _answers(metrics, arms, recorded, spec, settle), expected - len(sight.polls))


def _answers(
    metrics: Metrics, arms: Arms, recorded: Recorded, spec: ModelDeploymentSpec, settle: timedelta
) -> dict[datetime, Answers]:
    """What the user's own queries said at each point at which the operator asked them."""
    queries, step = spec.analysis.queries, spec.analysis.interval
    if not queries:
        return {}
    remembered = _Remembered(step)
    grid = segments(recorded.shifts, step, settle, recorded.until - INGESTION_LAG)
    for query in queries:
        promql = filled(query.query, arms, arms.candidate)
        for segment in grid:
            if segment.points:
                remembered.keep(promql, segment.start, metrics.series(promql, segment.start, step, segment.points))
    return {
        at: ask(remembered, queries, arms, about=arms.candidate, until=at, step=step)
        for at in (segment.instant(index) for segment in grid for index in range(1, segment.points))
    }


class _Remembered:
    """Metrics that were fetched in one go, and answer for a few points at a time as Prometheus would have."""

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

    def samples(self, query: CounterQuery, start: datetime, step: timedelta, points: int) -> list[Sample]:
        raise MetricsUnavailable("only the user's own queries were kept")
