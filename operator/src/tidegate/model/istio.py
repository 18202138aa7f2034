"""How a model is reached through Istio, as `spec.traffic.istio` has it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

MESH = "mesh"
"""Istio's word for all sidecars, in a VirtualService's list of gateways."""


class VirtualServiceRef(NamedTuple):
    """One named HTTP route of a VirtualService in the ModelDeployment's namespace, which is the user's."""

    name: str
    route: str


@dataclass(frozen=True)
class Istio:
    """The hosts that a VirtualService of ours is for, and Istio's Gateways that take them in.

    With `virtual_service` there is none of ours.
    """

    hosts: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    """Each NAMESPACE/NAME, or NAME until somebody knows the namespace."""
    virtual_service: VirtualServiceRef | None = None

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> "Istio":
        """Raises KeyError, TypeError or AttributeError on what the CRD doesn't let through."""
        if "virtualService" in raw:
            lent = raw["virtualService"]
            return cls(virtual_service=VirtualServiceRef(lent["name"], lent["route"]))
        return cls(tuple(raw["hosts"]), tuple(raw["gateways"]))

    def within(self, namespace: str) -> "Istio":
        """The same, said by an object of that namespace."""
        return replace(self, gateways=tuple(qualified(each, namespace) for each in self.gateways))


def qualified(gateway: str, namespace: str) -> str:
    """A Gateway as NAMESPACE/NAME, named by an object of that namespace."""
    return gateway if "/" in gateway or gateway == MESH else f"{namespace}/{gateway}"
