"""Routers report by a Lease each, and the operator knows which of them live, against a real API server."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from time import monotonic

import pytest

from tests.conftest import until
from tidegate.kube import routers as module
from tidegate.kube.api import LEASES, KubernetesApi
from tidegate.kube.routers import Routers
from tidegate.resources.router_report import LIFETIME_SECONDS, Applied, RouterIdentity, RouterReport
from tidegate.router.heartbeat import Heartbeat

pytestmark = pytest.mark.apiserver
AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def routers(connect: Callable[[], KubernetesApi], namespace: str) -> Iterator[Routers]:
    routers = Routers(connect(), namespace, "tidegate-router")
    routers.informer.start()
    until(lambda: routers.informer.complete)
    yield routers
    routers.informer.stop()


def beating(api: KubernetesApi, namespace: str, pod: str, service: str = "tidegate-router") -> Heartbeat:
    """A router that has sent one report."""
    heartbeat = Heartbeat(api, RouterIdentity(namespace, pod, "", service), threading.Event(), lambda: AT)
    heartbeat.applied(Applied({"": 7}))
    assert heartbeat._send()
    return heartbeat


def test_what_a_router_reports_is_known_and_told_until_it_ends(
    routers: Routers, api: KubernetesApi, namespace: str
) -> None:
    told: list[None] = []
    routers.reported = lambda: told.append(None)
    beating(api, namespace, "another-1", "another-router")
    heartbeat = beating(api, namespace, "router-1")
    until(lambda: routers.live() == [RouterReport("router-1", {"": 7})])
    assert len(told) == 1

    heartbeat.applied(Applied({"": 8}))
    assert heartbeat._send()
    until(lambda: routers.live() == [RouterReport("router-1", {"": 8})])
    assert len(told) == 2

    heartbeat.withdraw()
    until(lambda: routers.live() == [])
    assert api.get(LEASES, namespace, "router-1") is None


def test_a_router_that_does_not_renew_is_gone(
    routers: Routers, api: KubernetesApi, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    beating(api, namespace, "killed")
    living = beating(api, namespace, "living")
    until(lambda: len(routers.live()) == 2)
    later = monotonic() + 29
    monkeypatch.setattr(module, "monotonic", lambda: later)
    monkeypatch.setattr(living, "_now", lambda: AT.replace(year=2027))
    assert living._send()
    until(lambda: any(seen.at == later for seen in routers.informer.store.all()))
    monkeypatch.setattr(module, "monotonic", lambda: later + 2)

    assert routers.live() == [RouterReport("living", {"": 7})]
    silent = routers.silent_seconds()
    assert silent["living"] < LIFETIME_SECONDS <= silent["killed"]
