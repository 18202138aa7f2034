"""`tidegate replay`: what the judge made of a rollout, or would make of it with other settings. Reads only."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

from tidegate.cli.common.arguments import add_cluster_options, add_shared_options, exit_code, parser_of
from tidegate.cli.common.crd_file import spec_schema
from tidegate.cli.common.errors import CannotReplay, Unusable
from tidegate.cli.common.kubeconfig import connect, default_namespace
from tidegate.cli.common.output import wants_colour, write_file, write_line
from tidegate.cli.common.parsing import span
from tidegate.cli.common.progress import progress_message
from tidegate.cli.common.set_option import patched
from tidegate.cli.replay.by_record import by_record, report_of_record, whose
from tidegate.cli.replay.engine import replay
from tidegate.cli.replay.history import fetch_history
from tidegate.cli.replay.json_report import json_of
from tidegate.cli.replay.kept import ConfigMaps, export_record, kept_record, read_record
from tidegate.cli.replay.recorded import Recorded, recorded_in, spec_then
from tidegate.cli.replay.report import ReplayReport
from tidegate.cli.replay.svg import svg_of
from tidegate.cli.replay.table import text_of
from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import CONFIG_MAPS, MODEL_DEPLOYMENTS
from tidegate.metrics.provider import MetricsProvider
from tidegate.metrics.providers.prometheus import PrometheusMetrics
from tidegate.metrics.providers.prometheus_auth import PrometheusAccess
from tidegate.metrics.record import Record, decode
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.status import Status
from tidegate.model.traffic import Arms
from tidegate.settings import QuerySettings

SAME, OTHER = 0, 3
"""Exit codes: the recorded verdict or none yet; another verdict."""

DESCRIPTION = """
Reads a ModelDeployment's rollout and the increments that the operator recorded of it, and lets the judge and the
operator's own decisions go through them again, one by one: each verdict and each digit of its evidence has to be what
it was. Then it says how far Prometheus agrees. Where there is no record (of the last three rollouts there is one),
Prometheus is asked for the counters. With --set it says what other settings would have made of the same traffic.
Nothing is written to the cluster.
""".strip()
EPILOG = """
exit codes: 0 the same verdict as recorded, or the rollout is under way; 3 another verdict or other evidence
than recorded; 1 it can't be replayed; 2 the command line makes no sense.

In the operator's pod, where the address of Prometheus is known already:
  kubectl exec -n tidegate deploy/tidegate-operator -- \\
    tidegate replay NAME -n NAMESPACE
"""


@dataclass(frozen=True)
class Request:
    """What is asked for."""

    namespace: str
    name: str
    number: int | None
    scrape_interval: timedelta
    changes: tuple[str, ...] = ()


def main(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """The exit code."""
    parser = _parser(environ)
    arguments = parser.parse_args(argv)
    if not arguments.name and not arguments.record:
        parser.error("NAME is missing, or --record FILE")
    return exit_code("tidegate replay", lambda: _run(arguments, QuerySettings.from_env(environ)))


def _run(arguments: argparse.Namespace, queries: QuerySettings) -> int:
    now = datetime.now(UTC)  # noqa: TID251 - the one clock read
    interval, changes = span(arguments.scrape_interval), tuple(arguments.set)
    provider = _provider(arguments, queries)
    with progress_message(f"reading {arguments.name or arguments.record}, then Prometheus …"):
        if arguments.record and not arguments.name:
            text = read_record(arguments.record)
            report = report_of_record(decode(text), provider, interval, changes, now)
        else:
            namespace = arguments.namespace or default_namespace(arguments.kubeconfig, arguments.context)
            request = Request(namespace, arguments.name, arguments.rollout, interval, changes)
            api = connect(arguments.kubeconfig, arguments.context)
            # In the operator's pod this is its own account, which may list them and has no need to get one.
            listed = api.list(MODEL_DEPLOYMENTS, namespace, None)["items"]
            manifest = next((each for each in listed if each["metadata"]["name"] == arguments.name), None)
            text = _text(arguments, manifest, request, lambda name: api.get(CONFIG_MAPS, namespace, name), now)
            report = replay_report(manifest, provider, request, now, decode(text) if text else None)
    if arguments.export:
        export_record(text, arguments.export)
    return write_report(report, sys.stdout, output=arguments.output, picture=arguments.picture)


def _provider(arguments: argparse.Namespace, queries: QuerySettings) -> MetricsProvider | None:
    if not arguments.prometheus:
        return None
    access = PrometheusAccess.of(arguments.prometheus_secret)
    return PrometheusMetrics(arguments.prometheus.rstrip("/"), access, queries)


def _text(
    arguments: argparse.Namespace,
    manifest: Mapping[str, Any] | None,
    request: Request,
    config_map: ConfigMaps,
    now: datetime,
) -> str:
    """The record as text; '' where there is none, or none is wanted."""
    if arguments.record:
        return read_record(arguments.record)
    if arguments.no_record or manifest is None:
        return ""
    recorded = _recorded(manifest, request, now)
    try:
        return kept_record(recorded, config_map)
    except ClusterUnavailable as error:
        sys.stderr.write(f"tidegate replay: the operator's record can't be read, so Prometheus is asked: {error}\n")
        return ""


def replay_report(
    manifest: Mapping[str, Any] | None,
    provider: MetricsProvider | None,
    request: Request,
    now: datetime,
    record: Record | None = None,
) -> ReplayReport:
    """The replay of what is asked for, by its record where there is one.

    Raises CannotReplay, Unusable, MetricsUnavailable or InvalidSpec.
    """
    case = f"{request.namespace}/{request.name}"
    if manifest is None:
        raise CannotReplay(f"there is no ModelDeployment {case}")
    spec = ModelDeploymentSpec.parse(patched(manifest["spec"], spec_schema(), request.changes))
    status = Status.parse(manifest.get("status", {}))
    recorded = _recorded(manifest, request, now)
    arms = Arms(request.namespace, request.name, recorded.stable, recorded.candidate)
    view = status.analysis if recorded.outcome is None else None
    if record is not None:
        if record.header.identity != (*astuple(arms), recorded.started_at):
            raise CannotReplay(
                f"that is the record of another rollout: {whose(record)}, and not {case}'s {arms.candidate}"
            )
        return replace(by_record(record, recorded, spec, provider, request.scrape_interval, request.changes), now=view)
    if provider is None:
        raise Unusable(
            f"--prometheus is missing: of {arms.candidate} the operator has no record, so Prometheus has to tell; give "
            "the address that the operator reads it at"
        )
    then = spec_then(spec, recorded.shifts)
    propagation_delay = max(spec.analysis.interval, request.scrape_interval)
    history = fetch_history(provider, arms, recorded, then, propagation_delay)
    return ReplayReport(
        arms=arms,
        recorded=recorded,
        analysis=spec.analysis,
        changes=request.changes,
        strategy_changed=then.strategy != spec.strategy,
        propagation_delay=propagation_delay,
        measurements=history.measurements,
        missing=history.missing,
        replay=replay(history.measurements, recorded, then, history.answers),
        now=view,
    )


def _recorded(manifest: Mapping[str, Any], request: Request, now: datetime) -> Recorded:
    try:
        return recorded_in(Status.parse(manifest.get("status", {})), request.number, now.replace(microsecond=0))
    except CannotReplay as error:
        raise CannotReplay(f"{request.namespace}/{request.name} can't be replayed: {error}") from error


def write_report(report: ReplayReport, out: TextIO, *, output: str = "table", picture: Path | None = None) -> int:
    """Writes the report, and the picture where one is wanted. The exit code."""
    if picture is not None:
        write_file(picture, svg_of(report))
    write_line(out, json_of(report) if output == "json" else text_of(report, colour=wants_colour(out)))
    return SAME if report.same else OTHER


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = parser_of("tidegate replay", DESCRIPTION, EPILOG)
    parser.add_argument("name", metavar="NAME", nargs="?", help="of the ModelDeployment; not needed with --record")
    parser.add_argument(
        "--rollout", type=int, metavar="K", help="of status.history, 1 the newest; else the one under way, or else 1"
    )
    parser.add_argument(
        "--prometheus", metavar="URL", default=environ.get("TIDEGATE_PROMETHEUS_URL"), help="as the operator reads it"
    )
    parser.add_argument(
        "--prometheus-secret",
        metavar="FOLDER",
        default=environ.get("TIDEGATE_PROMETHEUS_SECRET", ""),
        help="with token, or username and password, ca.crt, tls.crt and tls.key, as far as Prometheus asks for them",
    )
    parser.add_argument(
        "--scrape-interval",
        metavar="SPAN",
        default=f"{environ.get('TIDEGATE_SCRAPE_INTERVAL_SECONDS', '15')}s",
        help="Prometheus' own, as the operator has it; %(default)s if left out",
    )
    add_cluster_options(parser)
    add_shared_options(parser, "other than the spec has it, such as analysis.errorRate.tolerate.ratio=1.0")
    parser.add_argument("--record", type=Path, metavar="FILE", help="replay this record, which --export has saved")
    parser.add_argument("--export", type=Path, metavar="FILE", help="save the operator's record of the rollout")
    parser.add_argument("--no-record", action="store_true", help="ask Prometheus for the counters, record or not")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw the evidence")
    return parser
