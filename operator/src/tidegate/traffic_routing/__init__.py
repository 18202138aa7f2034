"""Routers behind one protocol; a new one is one module here and one row."""

from collections.abc import Mapping

from tidegate.errors import InvalidSpec
from tidegate.model.spec import Canary, ModelDeploymentSpec
from tidegate.traffic_routing.backend import RouterBackend
from tidegate.traffic_routing.builtin import Builtin
from tidegate.traffic_routing.gateway_api import GatewayApiRouter
from tidegate.traffic_routing.istio import IstioRouter

BACKENDS: Mapping[str, RouterBackend] = {
    backend.name: backend for backend in (Builtin(), GatewayApiRouter(), IstioRouter())
}
"""By the value of `spec.traffic.router`."""
_WHERE = {"sticky": "spec.traffic has", "slices": "spec.analysis has"}
"""Where a spec asks for something, if not in a step."""


def backend_for(router: str) -> RouterBackend:
    """The backend of `spec.traffic.router`. Raises InvalidSpec where there is none of that name."""
    try:
        return BACKENDS[router]
    except KeyError:
        raise InvalidSpec(f"spec.traffic.router: {router} is none of {', '.join(BACKENDS)}") from None


def backend_of(spec: ModelDeploymentSpec) -> RouterBackend:
    """The backend that splits a spec's requests. Raises InvalidSpec where that can't do what the spec asks of it."""
    backend = backend_for(spec.router)
    steps = spec.strategy.steps if isinstance(spec.strategy, Canary) else ()
    asked = {
        "sticky": spec.route_settings.sticky is not None,
        "slices": bool(spec.analysis.slices),
        "mirror": any(step.mirror for step in steps),
        "match": any(step.rules for step in steps),
    }
    for what in (each for each, is_asked in asked.items() if is_asked and not getattr(backend.can, each)):
        able = " or ".join(each.name for each in BACKENDS.values() if getattr(each.can, what))
        where = _WHERE.get(what, "spec.strategy.canary.steps has a")
        raise InvalidSpec(
            f"{where} {what}, which the router {spec.router} can't do; leave it out, or set spec.traffic.router to "
            f"{able}"
        )
    return backend
