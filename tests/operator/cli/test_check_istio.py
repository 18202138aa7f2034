"""What `tidegate check` tells of Istio's part in a model's requests."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.fake_api import FakeApi
from tidegate.cli.check.finding import Finding, State
from tidegate.cli.check.in_cluster import Operator
from tidegate.cli.check.in_istio import GATEWAYS, istio
from tidegate.cli.common.cluster import Cluster
from tidegate.kube.api import VIRTUAL_SERVICES, Manifest

ABOUT = "shop/digits"
FOLLOWING = [Operator("tidegate", "tidegate-operator", {"TIDEGATE_ISTIO": "true"})]
LENT = {"virtualService": {"name": "shop", "route": "digits"}}


def model(**given: Any) -> Manifest:
    traffic = {"router": "Istio", "istio": given or {"hosts": ["digits.example.com"], "gateways": ["edge/public"]}}
    return {
        "metadata": {"namespace": "shop", "name": "digits"},
        "spec": {"model": {"uri": "http://models/1"}, "traffic": traffic},
    }


@pytest.fixture
def fake(fake: FakeApi) -> FakeApi:
    fake.put(GATEWAYS, {"metadata": {"namespace": "edge", "name": "public"}, "spec": {}})
    return fake


def found(cluster: Cluster, manifest: Mapping[str, Any], operators: list[Operator] = FOLLOWING) -> list[Finding]:
    return list(istio(cluster, operators, manifest))


def test_a_gateway_that_is_there_is_fine(cluster: Cluster) -> None:
    what = "Istio's Gateway edge/public is there; its proxies count requests"
    assert found(cluster, model()) == [Finding(ABOUT, State.OK, what)]


def test_a_gateway_that_is_not_there_is_told(cluster: Cluster) -> None:
    what = "there is no Gateway shop/public of Istio's: create it, or name another one in istio.gateways"
    assert found(cluster, model(hosts=["a"], gateways=["public"])) == [Finding(ABOUT, State.WRONG, what)]


def test_an_operator_that_follows_no_virtual_services_is_told(cluster: Cluster) -> None:
    first, _ = found(cluster, model(), [Operator("tidegate", "tidegate-operator", {})])

    assert (first.state, "set the chart's istio.enabled" in first.what) == (State.WRONG, True)


@pytest.mark.parametrize(
    ("name", "finding"),
    [
        pytest.param(
            "digits",
            Finding(ABOUT, State.OK, "the HTTP route digits of the VirtualService shop is there"),
            id="is there",
        ),
        pytest.param(
            "letters",
            Finding(
                ABOUT,
                State.WRONG,
                "the VirtualService shop/shop has 0 HTTP routes of the name digits, which "
                "spec.traffic.istio.virtualService names; give that name to exactly one of them",
            ),
            id="isn't",
        ),
    ],
)
def test_a_route_of_the_users(name: str, finding: Finding, cluster: Cluster, fake: FakeApi) -> None:
    spec = {"gateways": ["edge/public"], "http": [{"name": name, "route": [{"destination": {"host": "legacy"}}]}]}
    fake.put(VIRTUAL_SERVICES, {"metadata": {"namespace": "shop", "name": "shop"}, "spec": spec})

    assert found(cluster, model(**LENT)) == [finding]


def test_another_router_is_none_of_istios_affair(cluster: Cluster) -> None:
    manifest = {"metadata": {"namespace": "shop", "name": "digits"}, "spec": {"model": {"uri": "http://models/1"}}}
    assert found(cluster, manifest) == []
