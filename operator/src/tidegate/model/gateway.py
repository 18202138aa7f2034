"""Which Gateways a model is reached by, as `spec.traffic.gatewayAPI` has it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple


class ParentRef(NamedTuple):
    """A Gateway, or one listener of it."""

    namespace: str
    """Empty for the ModelDeployment's own, until somebody knows which that is."""
    name: str
    section: str | None = None
    """A listener's name; None for all that take the route."""
    port: int | None = None

    @classmethod
    def parse(cls, raw: Mapping[str, Any], namespace: str = "") -> "ParentRef":
        """As the Gateway API writes it; `namespace` is the route's own."""
        return cls(raw.get("namespace") or namespace, raw["name"], raw.get("sectionName"), raw.get("port"))

    def within(self, namespace: str) -> "ParentRef":
        """The same, said by an object of that namespace."""
        return self if self.namespace else self._replace(namespace=namespace)

    @property
    def told(self) -> str:
        """For people."""
        listener = "".join(
            f", {word} {value}" for word, value in (("listener", self.section), ("port", self.port)) if value
        )
        return f"Gateway {self.namespace}/{self.name}{listener}"


class RouteRef(NamedTuple):
    """One named rule of a route in the ModelDeployment's namespace, which is the user's."""

    name: str
    rule: str


@dataclass(frozen=True)
class GatewayApi:
    """The Gateways that routes of ours hang on, and the hostnames that they are for; none of these for all hosts.

    Calls by gRPC have hostnames of their own: a listener gives a host to routes of one kind alone. With `route_ref`
    there is no route of ours.
    """

    parents: tuple[ParentRef, ...]
    hostnames: tuple[str, ...] = ()
    route_ref: RouteRef | None = None
    grpc_hostnames: tuple[str, ...] = ()

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> "GatewayApi":
        """Raises KeyError, TypeError or AttributeError on what the CRD doesn't let through."""
        if "routeRef" in raw:
            return cls((), (), RouteRef(raw["routeRef"]["name"], raw["routeRef"]["rule"]))
        parents, hostnames = tuple(map(ParentRef.parse, raw["parentRefs"])), tuple(raw.get("hostnames", ()))
        return cls(parents, hostnames, grpc_hostnames=tuple(raw.get("grpcHostnames", ())))

    def within(self, namespace: str) -> "GatewayApi":
        """The same, said by a ModelDeployment of that namespace."""
        parents = tuple(parent.within(namespace) for parent in self.parents)
        return replace(self, parents=parents)
