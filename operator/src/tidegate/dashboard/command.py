"""`tidegate dashboard`: the page, on one's own machine or in the cluster."""

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

from tidegate.cli.common.arguments import exit_code, number_from
from tidegate.cli.common.errors import Unusable
from tidegate.cli.common.kubeconfig import connect, default_namespace
from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import MODEL_DEPLOYMENTS, KubernetesApi
from tidegate.kube.kubeconfig import find_context
from tidegate.metrics.provider import MetricsProvider

DESCRIPTION = """
Shows all rollouts, and each of them live, in a browser. It listens on this machine alone, does nothing that your
kubeconfig doesn't allow, and prints the address that has the key to it. docs/dashboard.md says more.
""".strip()
MOST_PAGES = 100
FORBIDDEN = 403


def main(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """The exit code; runs until it is interrupted."""
    arguments = _parser().parse_args(argv)
    return exit_code("tidegate dashboard", lambda: _run(arguments, environ))


def _run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    try:
        serving = import_module("tidegate.dashboard.serving")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("tidegate"):
            raise
        raise Unusable(f"{error.name} is missing; the page needs pip install 'tidegate[dashboard]'") from error
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if arguments.in_cluster and not find_context(arguments.kubeconfig, arguments.context).has_token_alone:
        raise Unusable(
            "--in-cluster needs a log-in by token alone: a certificate would be believed before anybody's token"
        )
    api = connect(arguments.kubeconfig, arguments.context)
    wanted = serving.Wanted(
        namespaces=_namespaces(arguments, api),
        in_cluster=arguments.in_cluster,
        controls=arguments.controls,
        port=arguments.port,
        prefix=arguments.prefix,
        pages=arguments.max_pages,
        metrics=_metrics(arguments, environ),
        opens=arguments.open and _has_display(environ),
    )
    return int(serving.serve(api, wanted, sys.stdout))


def _metrics(arguments: argparse.Namespace, environ: Mapping[str, str]) -> MetricsProvider | None:
    if not arguments.prometheus:
        return None
    from tidegate.cli.common.prometheus import PrometheusAddress

    return PrometheusAddress(arguments.prometheus, arguments.prometheus_secret).provider(environ)


def _namespaces(arguments: argparse.Namespace, api: KubernetesApi) -> tuple[str, ...]:
    """Those asked for; else all, or the context's where only that may be listed."""
    named = tuple(each for text in arguments.namespace for each in text.split(",") if each)
    if named or arguments.in_cluster:
        return named
    try:
        api.list(MODEL_DEPLOYMENTS, None, None, limit=1)
    except ClusterUnavailable as error:
        if error.status == FORBIDDEN:
            return (default_namespace(arguments.kubeconfig, arguments.context),)
    return ()


def _has_display(environ: Mapping[str, str]) -> bool:
    """Whether a browser can be expected to open where the person sits, and not at the other end of an SSH session."""
    if environ.get("SSH_CONNECTION"):
        return False
    return sys.platform == "darwin" or bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tidegate dashboard", description=DESCRIPTION)
    parser.add_argument(
        "--prometheus", metavar="URL", help="where error rates and latency are read; without it the sentence has them"
    )
    parser.add_argument(
        "--prometheus-secret",
        metavar="FOLDER",
        default="",
        help="with token, or username and password, ca.crt, tls.crt and tls.key, as far as Prometheus asks for them",
    )
    parser.add_argument(
        "-n", "--namespace", action="append", default=[], help="of this one alone; repeats; all, if left out"
    )
    parser.add_argument("--kubeconfig", metavar="FILE", help="kubectl's, if left out")
    parser.add_argument("--context", help="the current one, if left out")
    parser.add_argument("--port", type=number_from(0, int), help="8181 if left out, or another where that is taken")
    parser.add_argument("--no-open", dest="open", action="store_false", help="only print the address")
    parser.add_argument(
        "--read-only", dest="controls", action="store_false", help="no controls, whatever your rights allow"
    )
    parser.add_argument("--prefix", default="", metavar="/PATH", help="what comes before every path, behind a proxy")
    parser.add_argument(
        "--max-pages", type=number_from(1, int), default=MOST_PAGES, help="pages that may be live at once; %(default)s"
    )
    parser.add_argument(
        "--in-cluster",
        action="store_true",
        help="as the chart runs it: on every address, and for whoever shows a bearer token of the cluster",
    )
    return parser
