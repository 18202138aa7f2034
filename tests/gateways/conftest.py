"""The cluster of the end-to-end tests with the Gateway API's CRDs, and each implementation in turn beside it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import yaml

from tests.e2e.conftest import cluster, digits, kubectl, served, stage
from tests.e2e.stage import Stage
from tests.gateways import contour, crds, envoy_gateway, page
from tests.gateways.bare_route import BareRoute
from tests.gateways.gateway import Gateway
from tests.gateways.trial import BARE, TIDEGATE, Trial, write
from tidegate_demo import place
from tidegate_demo.cluster import prometheus
from tidegate_demo.cluster.contexts import DemoCluster, OneNode, ensure_prometheus, ensure_prometheus_with
from tidegate_demo.kubectl import Kubectl
from tidegate_demo.models import Models

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


@pytest.fixture(scope="session")
def bare(
    gateway: Gateway,
    kubectl: Kubectl,
    cluster: DemoCluster,
    digits: Models,
    served: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[BareRoute]:
    """Two models and the route between them, for all events behind one implementation."""
    name = f"e2e-bare-{gateway.name}"
    router = f"http://127.0.0.1:{gateway.port}"
    stage = Stage(kubectl, name, digits, served, router, tmp_path_factory.mktemp(name))
    with kubectl.namespace(name):
        yield BareRoute(stage, gateway.parent_ref, f"{cluster.image_prefix}server:demo")


@pytest.fixture
def trial(request: pytest.FixtureRequest, behind: Stage, gateway: Gateway) -> Iterator[Trial]:
    """Of a release by Tidegate."""
    with _told(request, Trial(gateway, TIDEGATE, _event(request), behind)) as under_way:
        yield under_way


@pytest.fixture
def bare_trial(request: pytest.FixtureRequest, bare: BareRoute, gateway: Gateway) -> Iterator[Trial]:
    """Of an edit of a bare route, which has the old model alone at first."""
    bare.begin()
    with _told(request, Trial(gateway, BARE, _event(request), bare.stage)) as under_way:
        yield under_way


def _event(request: pytest.FixtureRequest) -> str:
    name: str = request.node.callspec.params["event"].__name__
    return name.replace("_", " ")


@contextmanager
def _told(request: pytest.FixtureRequest, under_way: Trial) -> Iterator[Trial]:
    """In one line when it is over, however it ends, and kept for the page."""
    yield under_way
    row = under_way.row()
    write(row, RESULTS)
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        request.config.get_terminal_writer().line(f"\n  {row.line()}")
    page.write(RESULTS)
