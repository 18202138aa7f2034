"""What a router says of itself, written and read back side by side: one Lease for each router. Pure.

It says that the router lives, as every Lease does, and up to which version its Envoy works with the routes that there
are. Versions of one kind grow with each write, so one number tells of all routes, however many there are.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tidegate.errors import MalformedObject
from tidegate.resources.names import GROUP, Name
from tidegate.resources.revision import Manifest

ROUTER = f"{GROUP}/router"
"""A label: the Service that the router stands behind."""
APPLIED = f"{GROUP}/applied-versions"
REFUSED = f"{GROUP}/refused"
CERTIFICATE = f"{GROUP}/certificate-problem"
ADDRESS = f"{GROUP}/samples-address"
EVERY_NAMESPACE = ""
LIFETIME_SECONDS = 30
"""A router that hasn't renewed its Lease for so long is gone: nobody waits for it."""
LONGEST_SENTENCE = 300
"""Letters that are told of each refusal."""


@dataclass(frozen=True)
class Applied:
    """What a router's Envoy works with.

    `versions`: by namespace that is followed, it has all routes up to this resourceVersion but those in `refused`.
    `refused`: Envoy's sentence on what it won't have of a model, which stays as it was.
    `certificate`: why what the TLS Secret has now can't be served; empty where it is, or where there is none.
    """

    versions: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[Name, str] = field(default_factory=dict)
    certificate: str = ""


@dataclass(frozen=True)
class RouterIdentity:
    """Whose Lease it is. With the pod's uid it goes when the pod does, however that ends."""

    namespace: str
    pod: str
    uid: str
    service: str
    address: str = ""
    """Where it tells its counters to the operator, as host:port; empty where it tells them to nobody."""

    @property
    def about_pod(self) -> Manifest:
        """The pod, as an Event names what it is about."""
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"namespace": self.namespace, "name": self.pod, "uid": self.uid},
        }


@dataclass(frozen=True)
class RouterReport:
    """`applied`: the version up to which its Envoy has all routes but the `refused`, by the namespace followed, or ''.

    `address` is where it is asked for its counters, as host:port; empty for a router that can't be asked.
    """

    name: str
    applied: Mapping[str, int]
    address: str = ""
    refused: Mapping[Name, str] = field(default_factory=dict)
    certificate: str = ""
    """Why what its TLS Secret has now can't be served; empty where nothing is wrong."""

    def has(self, namespace: str, name: str, version: str) -> bool:
        """Whether it works with a route of that version, or with a later one."""
        if (namespace, name) in self.refused:
            return False
        upto = self.applied.get(namespace, self.applied.get(EVERY_NAMESPACE, -1))
        return upto >= (int(version) if version.isdecimal() else 0)


def report_manifest(router: RouterIdentity, applied: Applied, now: datetime) -> Manifest:
    """What `read_report` reads. `now` is aware, in UTC."""
    owner = {"apiVersion": "v1", "kind": "Pod", "name": router.pod, "uid": router.uid}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": router.pod,
            "namespace": router.namespace,
            "labels": {ROUTER: router.service},
            "annotations": {
                APPLIED: json.dumps(dict(applied.versions), sort_keys=True),
                **({REFUSED: _refusals(applied)} if applied.refused else {}),
                **({CERTIFICATE: applied.certificate[:LONGEST_SENTENCE]} if applied.certificate else {}),
                **({ADDRESS: router.address} if router.address else {}),
            },
            **({"ownerReferences": [owner]} if router.uid else {}),
        },
        "spec": {
            "holderIdentity": router.pod,
            "leaseDurationSeconds": LIFETIME_SECONDS,
            "renewTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        },
    }


def _refusals(applied: Applied) -> str:
    told = {"/".join(name): sentence[:LONGEST_SENTENCE] for name, sentence in applied.refused.items()}
    return json.dumps(told, sort_keys=True)


def read_report(lease: Mapping[str, Any]) -> RouterReport:
    """Parses a router's Lease. Raises MalformedObject."""
    metadata = lease["metadata"]
    try:
        annotations = metadata.get("annotations") or {}
        applied = json.loads(annotations.get(APPLIED, "{}"))
        versions = {str(where): int(version) for where, version in applied.items()}
        refused = json.loads(annotations.get(REFUSED, "{}"))
        sentences = {_name(str(route)): str(sentence) for route, sentence in refused.items()}
        certificate = str(annotations.get(CERTIFICATE, ""))
        return RouterReport(metadata["name"], versions, annotations.get(ADDRESS, ""), sentences, certificate)
    except (ValueError, TypeError, AttributeError) as error:
        raise MalformedObject(f"metadata.annotations: {APPLIED} or {REFUSED} is unreadable: {error}") from error


def _name(route: str) -> Name:
    namespace, _, name = route.partition("/")
    return namespace, name


def split_by_applied(
    routers: Sequence[RouterReport], namespace: str, name: str, version: str
) -> tuple[frozenset[str], frozenset[str]]:
    """The routers that work with a route of this version, and those that don't yet."""
    has = frozenset(router.name for router in routers if router.has(namespace, name, version))
    return has, frozenset(router.name for router in routers) - has


def refusals(routers: Sequence[RouterReport], namespace: str, name: str) -> Mapping[str, str]:
    """The sentences of those routers whose Envoy won't have a route as it is now."""
    return {router.name: router.refused[namespace, name] for router in routers if (namespace, name) in router.refused}
