"""The route, written and read back side by side: a ModelRoute for the built-in router, and the name clients use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from tidegate.kube.api import MODEL_ROUTES
from tidegate.kube.informer import MALFORMED, Kind
from tidegate.model.traffic import TrafficSplit
from tidegate.resources.names import GROUP, PORT_NAME, VERSION, labels
from tidegate.resources.revision import Manifest, owner

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RouteState:
    """What is kept of a route. Where somebody edited it into something that can't be read, there is None."""

    split: TrafficSplit | None
    settings: tuple[str, timedelta] | None
    """The preview header and the timeout."""
    applied: bool
    """Whether at least one router reports that it has taken the route as it is now."""


def read_route(manifest: Mapping[str, Any]) -> RouteState:
    """Never fails for a spec that makes no sense: that one is to be written anew."""
    return RouteState(_or_none(read_split, manifest), _or_none(read_route_settings, manifest), route_applied(manifest))


def _or_none(read: Callable[[Mapping[str, Any]], T], manifest: Mapping[str, Any]) -> T | None:
    try:
        return read(manifest)
    except MALFORMED:
        return None


def route_manifest(
    namespace: str, name: str, uid: str, split: TrafficSplit, *, preview_header: str, timeout: timedelta
) -> Manifest:
    """The only record of a split."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "ModelRoute",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels(name),
            "ownerReferences": owner(name, uid),
        },
        "spec": {
            "previewHeader": preview_header,
            "timeoutSeconds": int(bounded_timeout(timeout).total_seconds()),
            "backends": [{"revision": revision, "weight": weight} for revision, weight in split],
        },
    }


def read_split(manifest: Mapping[str, Any]) -> TrafficSplit:
    """The inverse of `route_manifest`. Raises ValueError on weights that don't add to 100."""
    return TrafficSplit(tuple((each["revision"], each["weight"]) for each in manifest["spec"]["backends"]))


def bounded_timeout(timeout: timedelta) -> timedelta:
    """A timeout as far as a route can carry it: whole seconds, from one to an hour."""
    return timedelta(seconds=max(1, min(3600, int(timeout.total_seconds()))))


def read_route_settings(manifest: Mapping[str, Any]) -> tuple[str, timedelta]:
    """The preview header and the timeout of a route."""
    spec = manifest["spec"]
    return spec["previewHeader"], timedelta(seconds=spec["timeoutSeconds"])


def route_applied(manifest: Mapping[str, Any]) -> bool:
    """Whether at least one router reports that it has taken the route as it is now."""
    generation = manifest["metadata"].get("generation", 0)
    routers = manifest.get("status", {}).get("routers", ())
    return any(router["observedGeneration"] >= generation for router in routers)


ROUTE = Kind(MODEL_ROUTES, read_route)
"""What is followed of this router."""


def alias_service_manifest(namespace: str, name: str, uid: str, router_service: str) -> Manifest:
    """Lets clients in the cluster say `http://NAME.NAMESPACE`: an alias of the router's Service.

    An alias and not endpoints of our own, so that clients find the routers whether or not the operator runs.
    """
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels(name),
            "ownerReferences": owner(name, uid),
        },
        "spec": {
            "type": "ExternalName",
            "externalName": router_service,
            "ports": [{"name": PORT_NAME, "port": 80, "protocol": "TCP"}],
        },
    }
