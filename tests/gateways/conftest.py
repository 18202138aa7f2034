"""The cluster of the end-to-end tests with the Gateway API's CRDs, and each implementation in turn beside it."""

from collections.abc import Iterator

import pytest
import yaml

from tests.e2e.conftest import cluster, digits, kubectl, served, stage
from tests.e2e.stage import Stage
from tests.gateways import contour, crds, envoy_gateway, page
from tests.gateways.gateway import Gateway
from tests.gateways.trial import Trial, write
from tidegate_demo import place
from tidegate_demo.cluster import prometheus
from tidegate_demo.cluster.contexts import DemoCluster, OneNode, ensure_prometheus, ensure_prometheus_with
from tidegate_demo.kubectl import Kubectl

__all__ = ["cluster", "digits", "kubectl", "served", "stage"]

RESULTS = place.REPOSITORY / "build" / "gateways"
IMPLEMENTATIONS = {contour.NAME: contour.contour, envoy_gateway.NAME: envoy_gateway.envoy_gateway}
STATS = (contour.STATS, envoy_gateway.STATS)


@pytest.fixture(scope="session")
def prometheus_url(cluster: DemoCluster, kubectl: Kubectl) -> Iterator[str]:
    """Of the demo's Prometheus, which reads the Gateways' Envoys too, with the chart that uses the Gateway API."""
    if not isinstance(cluster, OneNode):
        pytest.skip("the Gateways run on this machine, beside the one-node cluster")
    crds.apply(kubectl)
    build = place.build_of(cluster.load_images())
    url = ensure_prometheus_with(cluster, _with_gateways(place.host_address(cluster)))
    place.install_chart(cluster, url, build, {"gatewayAPI.enabled": True})
    yield url
    place.install_chart(cluster, ensure_prometheus(cluster, place.SCRAPE_SECONDS), build)


def _with_gateways(host: str) -> str:
    config = yaml.safe_load(prometheus.scrape_config(place.SCRAPE_SECONDS))
    targets = [f"{host}:{port}" for port in STATS]
    job = {"job_name": "gateways", "metrics_path": "/stats/prometheus", "static_configs": [{"targets": targets}]}
    config["scrape_configs"].append(job)
    return yaml.safe_dump(config, sort_keys=False)


@pytest.fixture(scope="session", params=IMPLEMENTATIONS)
def gateway(
    request: pytest.FixtureRequest,
    prometheus_url: str,
    kubectl: Kubectl,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    """One implementation, with a Gateway that takes routes of every namespace."""
    folder = tmp_path_factory.mktemp(request.param)
    with IMPLEMENTATIONS[request.param](kubectl, folder) as running:
        yield running


@pytest.fixture
def behind(stage: Stage, gateway: Gateway) -> Stage:
    """A stage whose requests go through the Gateway."""
    stage.router = f"http://127.0.0.1:{gateway.port}"
    stage.traffic = {
        "router": "GatewayAPI",
        "gatewayAPI": {"parentRefs": [dict(gateway.parent_ref)], "hostnames": [stage.host]},
    }
    return stage


@pytest.fixture
def trial(
    request: pytest.FixtureRequest, behind: Stage, gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> Iterator[Trial]:
    """Told in one line when it is over, however it ends, and kept for the page."""
    by = request.node.get_closest_marker("gateways").args[0]
    event = request.node.callspec.params["event"].__name__.replace("_", " ")
    under_way = Trial(gateway, by, event, behind)
    yield under_way
    row = under_way.row()
    write(row, RESULTS)
    with capsys.disabled():
        request.config.get_terminal_writer().line(f"\n  {row.line()}")
    page.write(RESULTS)
