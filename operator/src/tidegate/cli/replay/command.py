"""`tidegate replay`: what the judge made of a rollout, or would make of it with other settings. Reads only."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

from tidegate.cli.common.arguments import add_cluster_options, add_shared_options, exit_code
from tidegate.cli.common.crd_file import spec_schema
from tidegate.cli.common.errors import CannotReplay, Unusable
from tidegate.cli.common.kubeconfig import connect, default_namespace
from tidegate.cli.common.output import wants_colour, write_file, write_line
from tidegate.cli.common.parsing import span
from tidegate.cli.common.progress import progress_message
from tidegate.cli.common.set_option import patched
from tidegate.cli.replay.engine import replay
from tidegate.cli.replay.history import fetch_history
from tidegate.cli.replay.json_report import json_of
from tidegate.cli.replay.recorded import recorded_in, spec_then
from tidegate.cli.replay.report import ReplayReport
from tidegate.cli.replay.svg import svg_of
from tidegate.cli.replay.table import text_of
from tidegate.kube.api import MODEL_DEPLOYMENTS
from tidegate.metrics.provider import MetricsProvider
from tidegate.metrics.providers.prometheus import PrometheusMetrics
from tidegate.metrics.providers.prometheus_auth import PrometheusAccess
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.status import Status
from tidegate.model.traffic import Arms
from tidegate.settings import QuerySettings

SAME, OTHER = 0, 3
"""Exit codes: the recorded verdict or none yet; another verdict."""

DESCRIPTION = """
Reads a ModelDeployment's rollout, asks Prometheus for the counters that the judge was given, and lets the judge and the
operator's own decisions go through them again, increment by increment. With --set it says what other settings would
have made of the same traffic. Nothing is written to the cluster.
""".strip()
EPILOG = """
exit codes: 0 the same verdict as recorded, or the rollout is under way; 3 another verdict than recorded;
1 it can't be replayed; 2 the command line makes no sense.

In the operator's pod, where the address of Prometheus is known already:
  kubectl exec -n tidegate deploy/tidegate-operator -- tidegate replay NAME -n NAMESPACE
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
    arguments = _parser(environ).parse_args(argv)
    return exit_code("tidegate replay", lambda: _run(arguments, QuerySettings.from_env(environ)))


def _run(arguments: argparse.Namespace, queries: QuerySettings) -> int:
    if not arguments.prometheus:
        raise Unusable("--prometheus is missing: the address that the operator reads Prometheus at")
    namespace = arguments.namespace or default_namespace(arguments.kubeconfig, arguments.context)
    request = Request(
        namespace, arguments.name, arguments.rollout, span(arguments.scrape_interval), tuple(arguments.set)
    )
    with progress_message(f"reading {namespace}/{arguments.name}, then Prometheus at {arguments.prometheus} …"):
        api = connect(arguments.kubeconfig, arguments.context)
        # In the operator's pod this is its own account, which may list them and has no need to get one.
        listed = api.list(MODEL_DEPLOYMENTS, namespace, None)["items"]
        manifest = next((each for each in listed if each["metadata"]["name"] == arguments.name), None)
        access = PrometheusAccess.of(arguments.prometheus_secret)
        provider = PrometheusMetrics(arguments.prometheus.rstrip("/"), access, queries)
        now = datetime.now(UTC)  # noqa: TID251 - the one clock read
        report = replay_report(manifest, provider, request, now)
    return write_report(report, sys.stdout, output=arguments.output, picture=arguments.picture)


def replay_report(
    manifest: Mapping[str, Any] | None, provider: MetricsProvider, request: Request, now: datetime
) -> ReplayReport:
    """The replay of what is asked for. Raises CannotReplay, Unusable, MetricsUnavailable or InvalidSpec."""
    case = f"{request.namespace}/{request.name}"
    if manifest is None:
        raise CannotReplay(f"there is no ModelDeployment {case}")
    spec = ModelDeploymentSpec.parse(patched(manifest["spec"], spec_schema(), request.changes))
    status = Status.parse(manifest.get("status", {}))
    try:
        recorded = recorded_in(status, request.number, now.replace(microsecond=0))
    except CannotReplay as error:
        raise CannotReplay(f"{case} can't be replayed: {error}") from error
    then = spec_then(spec, recorded.shifts)
    arms = Arms(request.namespace, request.name, recorded.stable, recorded.candidate)
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
        now=status.analysis if recorded.outcome is None else None,
    )


def write_report(report: ReplayReport, out: TextIO, *, output: str = "table", picture: Path | None = None) -> int:
    """Writes the report, and the picture where one is wanted. The exit code."""
    if picture is not None:
        write_file(picture, svg_of(report))
    write_line(out, json_of(report) if output == "json" else text_of(report, colour=wants_colour(out)))
    return SAME if report.same else OTHER


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tidegate replay",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="of the ModelDeployment")
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
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw the evidence")
    return parser
