"""The operator's hand on one namespace of the API server of the tests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.conftest import until
from tidegate.controller.observe import WATCHED
from tidegate.kube.api import KubernetesApi
from tidegate.kube.cluster import KubernetesCluster
from tidegate.kube.informer import Kind
from tidegate.kube.routers import Routers
from tidegate.model.traffic import Writer


@dataclass
class Leader:
    """Leads until told otherwise."""

    leads: bool = True
    writer = Writer("tidegate/tidegate-operator", 1)

    def held(self) -> bool:
        return self.leads


@contextmanager
def following(
    connect: Callable[[], KubernetesApi],
    namespace: str,
    *more: Kind[Any],
    leader: Leader | None = None,
    tell: Callable[[str, str], None] = lambda *_: None,
    within: float = 20.0,
) -> Iterator[KubernetesCluster]:
    """It has seen all there is, of `more` kinds too, after `within` seconds at the latest. `tell` is its workqueue."""
    routers = Routers(connect(), namespace, "r")
    kinds = (*WATCHED, *more)
    cluster = KubernetesCluster(connect(), kinds, tell, (namespace,), "operator-1", leader or Leader(), routers)
    cluster.start()
    until(cluster.complete, within=within)
    yield cluster
    for informer in cluster.informers():
        informer.stop()
