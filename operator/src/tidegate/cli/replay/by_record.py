"""A replay by the operator's own record, and what Prometheus has of the same times beside it. Reads only."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from tidegate.cli.common.crd_file import spec_schema
from tidegate.cli.common.errors import Unusable
from tidegate.cli.replay.agreement import Agreement, agreement, sentence
from tidegate.cli.replay.engine import replay
from tidegate.cli.replay.recorded import Recorded, spec_then
from tidegate.cli.replay.repetition import (
    Repetition,
    analysis_of,
    measurements_of,
    recorded_by,
    repeat,
    traffic_of,
)
from tidegate.cli.replay.report import RecordUsed, ReplayReport
from tidegate.metrics.provider import MetricsProvider
from tidegate.metrics.record import Record, Resumed
from tidegate.metrics.registry import SourceRegistry
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.traffic import Arms
from tidegate.model.units import format_instant
from tidegate.resources.crd_schema import with_defaults


def report_of_record(
    record: Record, provider: MetricsProvider | None, scrape_interval: timedelta, changes: Sequence[str], now: datetime
) -> ReplayReport:
    """The replay of a record alone, without a cluster. Raises CannotReplay, or Unusable."""
    if changes:
        raise Unusable("--set changes settings of a ModelDeployment, so it needs NAME beside --record")
    recorded = recorded_by(record.header, now.replace(microsecond=0))
    model = {"model": {"uri": "http://recorded"}}
    spec = ModelDeploymentSpec.parse(with_defaults(spec_schema(), model))
    return by_record(record, recorded, spec, provider, scrape_interval, ())


def by_record(
    record: Record,
    recorded: Recorded,
    spec: ModelDeploymentSpec,
    provider: MetricsProvider | None,
    scrape_interval: timedelta,
    changes: Sequence[str],
) -> ReplayReport:
    """The replay of a record under its own settings; with changes, under the spec. Raises CannotReplay."""
    measurements, answers = measurements_of(record)
    if not changes:
        spec = replace(spec, analysis=analysis_of(record))
    then = spec_then(spec, recorded.shifts)
    if changes:
        repetition = Repetition(replay(measurements, recorded, then, answers), 0)
    else:
        repetition = repeat(record, recorded, then)
    header = record.header
    arms = Arms(header.namespace, header.name, header.stable, header.candidate)
    increments = measurements.increments
    counted, said = _agreement(provider, spec, record, scrape_interval)
    return ReplayReport(
        arms=arms,
        recorded=recorded,
        analysis=spec.analysis,
        changes=tuple(changes),
        strategy_changed=then.strategy != spec.strategy,
        propagation_delay=max(spec.analysis.interval, scrape_interval),
        measurements=measurements,
        missing=0,
        replay=repetition.replay,
        record=RecordUsed(
            sources=tuple(dict.fromkeys(source for source, _ in traffic_of(record))),
            said=repetition.said,
            differs=repetition.differs,
            begins=increments[0].until if isinstance(record.entries[0], Resumed) else None,
            ends=increments[-1].until,
            is_cut=recorded.outcome is not None and header.ended is None,
            agreement=said,
            counted=counted,
        ),
    )


def _agreement(
    provider: MetricsProvider | None, spec: ModelDeploymentSpec, record: Record, scrape_interval: timedelta
) -> tuple[Agreement | None, str]:
    """What Prometheus has of the same times, and a sentence about it."""
    if provider is None:
        return None, "Prometheus wasn't asked how far it agrees: --prometheus is missing"
    source = SourceRegistry(provider).sources(spec.router, spec.analysis.requests_from).traffic
    between = spec.analysis.interval, scrape_interval
    found = agreement(source, record.header, traffic_of(record), between)
    return (None if found.failure else found), sentence(found)


def whose(record: Record) -> str:
    """Which rollout's it is."""
    header = record.header
    return f"{header.namespace}/{header.name}, {header.candidate} since {format_instant(header.started_at)}"
