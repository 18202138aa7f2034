"""Routers behind one protocol; a new one is one module here and one row."""

from collections.abc import Mapping

from tidegate.errors import InvalidSpec
from tidegate.traffic_routing.backend import RouterBackend
from tidegate.traffic_routing.builtin import Builtin
from tidegate.traffic_routing.gateway_api import GatewayApiRouter

BACKENDS: Mapping[str, RouterBackend] = {backend.name: backend for backend in (Builtin(), GatewayApiRouter())}
"""By the value of `spec.traffic.router`."""


def backend_for(router: str) -> RouterBackend:
    """The backend of `spec.traffic.router`. Raises InvalidSpec where there is none of that name."""
    try:
        return BACKENDS[router]
    except KeyError:
        raise InvalidSpec(f"spec.traffic.router: {router} is none of {', '.join(BACKENDS)}") from None
