"""Which listeners of a Gateway would take a route, as the Gateway API has it. Pure; decisions need none of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.model.gateway import ParentRef

Listener = Mapping[str, Any]


def why_not_taken(gateway: Mapping[str, Any], parent: ParentRef, hostnames: Sequence[str], namespace: str) -> str:
    """Why no listener takes a route of this namespace for these hosts; empty where one does, or may.

    Namespaces that a listener allows by their labels may be allowed.
    """
    listeners: Sequence[Listener] = (gateway.get("spec") or {}).get("listeners") or ()
    named = [each for each in listeners if _is_meant(each, parent)]
    if not named:
        there = ", ".join(str(each.get("name")) for each in listeners)
        return f"it has no such listener; there are {there or 'none'}"
    allowing = [each for each in named if _allows(each, parent.namespace, namespace)]
    if not allowing:
        return f"no listener allows routes from {namespace}: set allowedRoutes.namespaces.from to All, or to Selector"
    if not any(_serves(each, hostnames) for each in allowing):
        served = ", ".join(str(each.get("hostname")) for each in allowing)
        return f"no listener takes {', '.join(hostnames)}; they take {served}"
    return ""


def _is_meant(listener: Listener, parent: ParentRef) -> bool:
    return parent.section in (None, listener.get("name")) and parent.port in (None, listener.get("port"))


def _allows(listener: Listener, gateways: str, routes: str) -> bool:
    namespaces = (listener.get("allowedRoutes") or {}).get("namespaces") or {}
    return namespaces.get("from", "Same") in ("All", "Selector") or gateways == routes


def _serves(listener: Listener, hostnames: Sequence[str]) -> bool:
    served = listener.get("hostname")
    return not served or not hostnames or any(_meet(served, host) for host in hostnames)


def _meet(one: str, other: str) -> bool:
    """Whether some host is meant by both, each of which may begin with `*.`."""
    return one == other or _covers(one, other) or _covers(other, one)


def _covers(wide: str, narrow: str) -> bool:
    return wide.startswith("*.") and narrow.removeprefix("*.").endswith(wide[1:])
