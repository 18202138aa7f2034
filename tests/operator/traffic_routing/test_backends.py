"""What lies between decisions and a router: the built-in one, and a second one that no other module has heard of."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import tidegate
from tests.operator.traffic_routing.recording import RECORDED_ROUTES, Recording, read_recorded
from tests.operator.world import Behaviour, World
from tidegate.errors import InvalidSpec
from tidegate.metrics.registry import TRAFFIC
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.traffic import NO_ROUTE, Capabilities, RouteState, TrafficSplit
from tidegate.traffic_routing import BACKENDS, backend_for, backend_of
from tidegate.traffic_routing.backend import RouterBackend

SOURCE = Path(tidegate.__file__).parent
MAY_NAME_A_MODEL_ROUTE = (
    "router/",
    "traffic_routing/",
    "rehearsal/router.py",
    "resources/model_route.py",
    "kube/api.py",
)


class RecordedWorld(World):
    """Its requests go by what the second router was told."""

    @property
    def split(self) -> TrafficSplit | None:
        route = self._objects.get((RECORDED_ROUTES, "digits"))
        return read_recorded(route).split if route else None


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> Recording:
    backend = Recording()
    monkeypatch.setitem(BACKENDS, backend.name, backend)
    return backend


def test_a_second_backend_carries_a_whole_canary(recording: Recording, spec_schema: Mapping[str, Any]) -> None:
    world = RecordedWorld(spec_schema, {"http://models/1": Behaviour(), "http://models/2": Behaviour()})
    common: dict[str, Any] = {
        "traffic": {"router": "Recording"},
        "strategy": {"canary": {"steps": [{"weight": 50}]}},
    }
    world.kubectl_apply(model={"uri": "http://models/1"}, **common)
    world.run(60)
    first = world.status["stable"]["revision"]
    world.kubectl_apply(model={"uri": "http://models/2"}, **common)
    world.run(600)
    second = world.status["stable"]["revision"]

    assert recording.splits == [
        TrafficSplit.only(first),
        TrafficSplit.between(first, second, 0),
        TrafficSplit.between(first, second, 50),
        TrafficSplit.between(first, second, 100),
        TrafficSplit.only(second),
    ]
    assert world.lost == 0


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
def test_every_backend_is_found_by_its_own_name(backend: RouterBackend) -> None:
    assert backend_for(backend.name) is backend


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
def test_somebody_counts_the_requests_of_every_backend(backend: RouterBackend) -> None:
    assert {backend.counted_by(route) for route in (NO_ROUTE, RouteState(uncounted="nothing"))} <= set(TRAFFIC)


def test_an_unknown_router_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InvalidSpec, match=r"spec\.traffic\.router: Gateway is none of Builtin"):
        backend_for("Gateway")


def test_a_router_that_cannot_copy_is_asked_for_no_copies(
    monkeypatch: pytest.MonkeyPatch, a_spec: Callable[..., ModelDeploymentSpec]
) -> None:
    spec = a_spec(strategy={"canary": {"steps": [{"mirror": {"percent": 20}}, {"weight": 50}]}})
    assert backend_of(spec).can.mirror
    monkeypatch.setattr(backend_of(spec), "can", Capabilities(preview=True), raising=False)
    with pytest.raises(InvalidSpec, match=r"canary\.steps has a mirror, which the router Builtin can't do; leave it"):
        backend_of(spec)


def test_a_gateway_is_asked_for_no_users_who_stay(a_spec: Callable[..., ModelDeploymentSpec]) -> None:
    sticky = {"header": "x-user"}
    gateway = {"router": "GatewayAPI", "gatewayAPI": {"parentRefs": [{"name": "public"}]}}
    assert backend_of(a_spec(traffic={"sticky": sticky})).name == "Builtin"
    with pytest.raises(InvalidSpec, match=r"^spec\.traffic has sticky, which the router GatewayAPI can't do; leave it"):
        backend_of(a_spec(traffic={**gateway, "sticky": sticky}))


def test_the_crd_offers_the_backends_that_there_are(spec_schema: Mapping[str, Any]) -> None:
    assert spec_schema["properties"]["traffic"]["properties"]["router"]["enum"] == list(BACKENDS)


def test_nothing_else_in_the_operator_names_a_model_route() -> None:
    named = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if re.search(r"MODEL_ROUTES|ModelRoute|model_route", path.read_text())
    }

    assert {path for path in named if not path.startswith(MAY_NAME_A_MODEL_ROUTE)} == set()
