"""`tidegate check`: looks at everything that a release needs, and says what can't be seen from here."""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from tidegate.cli.check.finding import Finding, State
from tidegate.cli.check.in_cluster import Operator, api_server, crd, lease, models, operators, rights, routers
from tidegate.cli.check.in_gateways import gateways, route_of
from tidegate.cli.check.in_istio import istio
from tidegate.cli.common.cluster import Cluster, open_cluster, refused
from tidegate.cli.common.columns import Style, styled
from tidegate.cli.common.documents import Output, document
from tidegate.cli.common.errors import NotDone
from tidegate.cli.common.output import wants_colour, write_line
from tidegate.cli.common.where import Where
from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import Manifest

GOOD, BAD = 0, 1
MOST_MODELS = 20
"""Of which Prometheus is asked, one after the other."""
STYLES = {State.OK: Style.GOOD, State.WARNING: Style.DOUBTFUL, State.WRONG: Style.BAD, State.UNSEEN: Style.DOUBTFUL}


@dataclass(frozen=True)
class Checking:
    """What is asked for; `name` is None for every model of the namespace."""

    where: Where
    name: str | None
    prometheus: str
    prometheus_secret: str
    scrape_interval: timedelta
    output: Output
    router: str = ""
    """The URL of the routers' Service, where that is to be asked."""


def check(checking: Checking, environ: Mapping[str, str] = os.environ) -> int:
    """The exit code: 1 where something is wrong."""
    cluster, found = open_cluster(checking.where), list[Finding]()
    table, colour = checking.output not in (Output.JSON, Output.YAML), wants_colour(sys.stdout)
    for each in _findings(checking, cluster, environ):
        found.append(each)
        if table:  # as they come: some take their time
            mark = styled(f"{each.state.value:8}", STYLES[each.state], colour=colour)
            write_line(sys.stdout, f"{mark}  {each.about}: {each.what}")
    if not table:
        write_line(sys.stdout, document([asdict(each) for each in found], checking.output))
    return BAD if any(each.state is State.WRONG for each in found) else GOOD


def _findings(checking: Checking, cluster: Cluster, environ: Mapping[str, str]) -> Iterator[Finding]:
    try:
        yield api_server(cluster)
    except ClusterUnavailable as error:
        raise refused("the API server can't be asked for its version", error) from error
    yield from rights(cluster)
    yield crd(cluster)
    now = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - the one clock read
    there, how = operators(cluster)
    yield from how
    for operator in there:
        yield lease(cluster, operator, now)
        yield from routers(cluster, operator, now)
    if checking.router:
        from tidegate.cli.check.at_the_router import answers

        yield answers(checking.router)
    try:
        manifests = [cluster.model(checking.name)] if checking.name else list(cluster.models(lambda each: each))
    except NotDone as error:
        yield Finding("models", State.UNSEEN, str(error))
        return
    yield from models(manifests)
    for manifest in manifests[:MOST_MODELS]:
        yield from gateways(cluster, there, manifest)
        yield from istio(cluster, there, manifest)
    yield from _prometheus(checking, cluster, there, manifests, environ, now)


def _prometheus(
    checking: Checking,
    cluster: Cluster,
    there: list[Operator],
    manifests: list[Manifest],
    environ: Mapping[str, str],
    now: datetime,
) -> Iterator[Finding]:
    if not checking.prometheus:
        yield _elsewhere(checking, cluster, there)
        return
    # They bring a client of Prometheus', which takes a second to load.
    from tidegate.cli.check.in_prometheus import answers, metrics
    from tidegate.cli.common.prometheus import PrometheusAddress

    provider = PrometheusAddress(checking.prometheus, checking.prometheus_secret).provider(environ)
    if not manifests:
        yield answers(provider, checking.prometheus, now)
    for manifest in manifests[:MOST_MODELS]:
        find = partial(cluster.metric_template, manifest["metadata"]["namespace"])
        yield from metrics(manifest, provider, checking.scrape_interval, now, find, route_of(cluster, manifest))
    if len(manifests) > MOST_MODELS:
        what = f"{len(manifests) - MOST_MODELS} further models weren't asked about; name one"
        yield Finding("Prometheus", State.UNSEEN, what)


def _elsewhere(checking: Checking, cluster: Cluster, there: list[Operator]) -> Finding:
    """Prometheus is mostly where only the cluster reaches it: so is a pod that has this command and its address."""
    if not there:
        return Finding("Prometheus", State.UNSEEN, "its address isn't known here; give it with --prometheus")
    operator = there[0]
    url = operator.environment.get("TIDEGATE_PROMETHEUS_URL") or "an address that isn't told"
    command = f"kubectl exec -n {operator.namespace} deploy/{operator.name} -- tidegate check"
    which = f"{checking.name} -n {cluster.namespace}" if checking.name else f"-n {cluster.namespace}"
    what = f"the operator reads it at {url}, which wasn't tried from here; in the cluster: {command} {which}"
    return Finding("Prometheus", State.UNSEEN, what)
