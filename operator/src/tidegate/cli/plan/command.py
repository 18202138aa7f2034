"""`tidegate plan`: reads a file, the model in the cluster, and the traffic as far as it can be known."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tidegate.cli.common.cluster import open_cluster
from tidegate.cli.common.columns import Cell, Column, lines_of
from tidegate.cli.common.crd_file import schema_of_all
from tidegate.cli.common.documents import Output, document
from tidegate.cli.common.errors import NotDone
from tidegate.cli.common.output import wants_colour, write_line
from tidegate.cli.common.where import Where
from tidegate.cli.lint.cel_rules import cel_rules
from tidegate.cli.lint.command import read_documents
from tidegate.cli.lint.findings import Finding, findings, is_ours
from tidegate.cli.plan.change import UNKNOWN, Change, Known, change_of
from tidegate.cli.plan.outline import Outline, Step, outline
from tidegate.decide.gates import told_exposure
from tidegate.errors import MetricsUnavailable
from tidegate.model.evidence import BaselineTraffic
from tidegate.model.spec import CounterSource, ModelDeploymentSpec
from tidegate.model.status import Status
from tidegate.model.traffic import Arms
from tidegate.model.units import format_duration, format_duration_roughly
from tidegate.resources.crd_schema import with_defaults
from tidegate.simulation.synthetic_traffic import expected_durations

MANY = 1_000_000
"""Requests of an expected histogram: only its shape counts."""


@dataclass(frozen=True)
class Traffic:
    """What the user says of stable's traffic: requests a second, the share that fails, the median in seconds."""

    rate: float
    failed: float
    median: float


@dataclass(frozen=True)
class Planning:
    """What is asked for. `where` is None for a plan without a cluster."""

    file: Path
    where: Where | None
    traffic: Traffic | None
    prometheus: str
    prometheus_secret: str
    scrape_interval: timedelta
    output: Output


def plan(planning: Planning, environ: Mapping[str, str] = os.environ) -> int:
    """The exit code: 0, or 1 where the traffic can't decide within the deadline."""
    manifest, spec = read(planning.file)
    known, change = _known(planning.where, manifest, spec)
    traffic, unknown = _traffic(planning, spec, known, manifest, environ)
    found = outline(spec, traffic, max(spec.analysis.interval, planning.scrape_interval))
    name = manifest["metadata"]["name"]
    if planning.output in (Output.JSON, Output.YAML):
        write_line(sys.stdout, document(_document(name, change, found, unknown), planning.output))
    else:
        write_line(sys.stdout, "\n".join(_text(name, change, found, unknown)))
    undecided = change.by_steps and found.estimate is not None and not found.estimate.within_deadline
    return 1 if undecided else 0


def read(file: Path) -> tuple[Mapping[str, Any], ModelDeploymentSpec]:
    """The only ModelDeployment of a file. Raises NotDone where there isn't one, or lint finds something."""
    schema, rule_holds = schema_of_all(), cel_rules()
    read = list(read_documents([file]))
    ours = [each for each in read if not isinstance(each, Finding) and is_ours(each)]
    wrong = [each for each in read if isinstance(each, Finding)]
    wrong += [found for each in ours for found in findings(each, schema, rule_holds)]
    if wrong:
        raise NotDone(f"{wrong[0].file}:{wrong[0].line}: {wrong[0].what}; `tidegate lint {file}` says all")
    if len(ours) != 1:
        raise NotDone(f"{file} has {len(ours)} ModelDeployments; a plan is about one")
    manifest: Mapping[str, Any] = with_defaults(schema, ours[0].value)
    return manifest, ModelDeploymentSpec.parse(manifest["spec"])


def _known(where: Where | None, manifest: Mapping[str, Any], spec: ModelDeploymentSpec) -> tuple[Known | None, Change]:
    if where is None:
        return None, UNKNOWN
    namespace = where.namespace or manifest["metadata"].get("namespace")
    cluster = open_cluster(replace(where, namespace=namespace))
    name = manifest["metadata"]["name"]
    there = cluster.find(name)
    known = Known(name, Status.parse(there.get("status") or {}), cluster.revisions(name)) if there else None
    now = datetime.now(UTC)  # noqa: TID251 - the one clock read
    return known, change_of(spec, known, now)


def _traffic(
    planning: Planning,
    spec: ModelDeploymentSpec,
    known: Known | None,
    manifest: Mapping[str, Any],
    environ: Mapping[str, str],
) -> tuple[BaselineTraffic | None, str]:
    """Stable's traffic, or why it isn't known."""
    directly = spec.analysis.source is not CounterSource.PROMETHEUS and spec.analysis.requests_from == "Router"
    if given := planning.traffic:
        return BaselineTraffic(given.rate, given.failed, expected_durations(MANY, given.median), directly), ""
    if not planning.prometheus:
        return None, "how long that takes depends on the traffic: give --rate, or --prometheus to have it read"
    if known is None or known.status.stable is None:
        return None, "there is no stable revision whose traffic could be read"
    return _measured(planning, spec, known.status.stable, manifest, environ, directly)


def _measured(
    planning: Planning,
    spec: ModelDeploymentSpec,
    stable: str,
    manifest: Mapping[str, Any],
    environ: Mapping[str, str],
    directly: bool,
) -> tuple[BaselineTraffic | None, str]:
    from tidegate.cli.common.prometheus import PrometheusAddress
    from tidegate.metrics.preflight import stable_now
    from tidegate.metrics.registry import SourceRegistry

    metadata = manifest["metadata"]
    arms = Arms(metadata.get("namespace") or "default", metadata["name"], stable, stable)
    now = datetime.now(UTC)  # noqa: TID251 - the one clock read
    try:
        provider = PrometheusAddress(planning.prometheus, planning.prometheus_secret).provider(environ)
        sources = SourceRegistry(provider).sources(spec.router, spec.analysis.requests_from)
        delay = max(spec.analysis.interval, planning.scrape_interval)
        found = stable_now(sources, arms, now.replace(microsecond=0), delay).baseline
    except MetricsUnavailable as error:
        return None, f"the traffic of {stable} can't be read: {error}"
    if found is None:
        return None, f"Prometheus has counted no requests of {stable} for long enough to say how long it takes"
    return replace(found, read_directly=directly), ""


def _text(name: str, change: Change, found: Outline, unknown: str) -> list[str]:
    lines = [f"{name}: {change.what}"]
    if not change.by_steps:
        return lines
    titles = ("STEP", "WEIGHT", "PODS", "AT LEAST", "ASKS", "TAKES")
    columns = [Column(title, left=True) for title in titles]
    lines += ["", *lines_of(columns, [_row(each) for each in found.steps], colour=wants_colour(sys.stdout))]
    lines += ["", found.afterwards, *([found.users] if found.users else []), *found.gates, *found.slices]
    if found.estimate:
        lines.append(found.estimate.message)
    return [*lines, unknown] if unknown else lines


def _row(step: Step) -> list[Cell]:
    takes = "" if step.stays is None else f"about {format_duration_roughly(step.stays)}"
    weight = told_exposure(step.weight, step.mirror, matched=step.matched)
    cells = (f"{step.number}", weight, f"{step.pods}", format_duration(step.at_least), step.asks, takes)
    return [Cell(text) for text in cells]


def _document(name: str, change: Change, found: Outline, unknown: str) -> dict[str, Any]:
    estimate = found.estimate
    steps = [
        {
            "step": each.number,
            "weight": each.weight,
            "mirror": each.mirror,
            "matched": each.matched,
            "pods": each.pods,
            "atLeastSeconds": each.at_least.total_seconds(),
            "asks": each.asks,
            "takesSeconds": each.stays.total_seconds() if each.stays is not None else None,
        }
        for each in found.steps
    ]
    return {
        "name": name,
        "change": change.what,
        "bySteps": change.by_steps,
        "steps": steps if change.by_steps else [],
        "gates": list(found.gates) if change.by_steps else [],
        "users": found.users if change.by_steps else "",
        "slices": list(found.slices) if change.by_steps else [],
        "canDecide": estimate.within_deadline if estimate else None,
        "exposedIfAllFail": estimate.exposed if estimate else None,
        "failuresAtWorst": estimate.worst if estimate else None,
        "message": estimate.message if estimate else unknown,
    }
