"""The order of writes, with an Envoy that takes files, refuses them, is slow, or isn't there."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tidegate.resources.model_route import Backend, Route
from tidegate.router.cluster_lifecycle import GRACE_SECONDS, RoutingSnapshot
from tidegate.router.envoy_admin import EnvoyState
from tidegate.router.objects import Endpoint, Service
from tidegate.router.publisher import SETTLE_SECONDS, Published, Publisher

OLD, NEW = "sentiment-aaaaaaaa", "sentiment-bbbbbbbb"
OLD_FILE, NEW_FILE = f"endpoints.shop.{OLD}.json", f"endpoints.shop.{NEW}.json"
LEAVES_SECONDS = 60 + GRACE_SECONDS
"""A request may take a minute."""


@dataclass
class Pretence:
    """A disk, a clock and an Envoy in one: `journal` is what happened, in order."""

    journal: list[str] = field(default_factory=list)
    disk: dict[str, dict[str, Any]] = field(default_factory=dict)
    now: float = 100.0
    envoy: EnvoyState | None = field(default_factory=EnvoyState)
    takes: bool = True
    path: str = "/xds"

    def names(self) -> list[str]:
        return sorted(self.disk)

    def read(self, name: str) -> dict[str, Any] | None:
        return self.disk.get(name)

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        self.disk[name] = dict(content)
        self.journal.append(f"write {name}")
        if self.envoy is None:
            return
        version = content["version_info"]
        if not self.takes:
            self.envoy = replace(self.envoy, refused_updates=self.envoy.refused_updates + 1)
        elif name == "clusters.json":
            self.envoy = replace(self.envoy, clusters_version=version)
        elif name == "routes.json":
            self.envoy = replace(self.envoy, routes_version=version)

    def remove(self, name: str) -> None:
        del self.disk[name]
        self.journal.append(f"remove {name}")

    def state(self) -> EnvoyState | None:
        return self.envoy

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def clusters(self) -> list[str]:
        return [one["name"] for one in self.disk["clusters.json"]["resources"] if not one["name"].endswith("preview")]

    def since(self) -> list[str]:
        happened, self.journal = self.journal, []
        return happened


def a_world(
    *shares: tuple[str, int], endpoints: Mapping[Service, tuple[Endpoint, ...]] | None = None
) -> RoutingSnapshot:
    route = Route("shop", "sentiment", "x-tidegate-revision", 60, tuple(Backend(*share) for share in shares))
    return RoutingSnapshot((route,), {"": 1}, endpoints or {})


def a_publisher(pretence: Pretence) -> Publisher:
    return Publisher(pretence, pretence, clock=lambda: pretence.now, sleep=pretence.sleep, watched_limit=50)


def test_endpoints_come_before_clusters_and_clusters_before_routes() -> None:
    pretence = Pretence()
    assert a_publisher(pretence).publish(a_world((OLD, 90), (NEW, 10))) == Published(True, None)
    assert pretence.journal == [
        f"write {OLD_FILE}",
        f"write {NEW_FILE}",
        "write clusters.json",
        "write routes.json",
    ]


def test_nothing_is_written_twice() -> None:
    pretence = Pretence()
    publisher = a_publisher(pretence)
    publisher.publish(a_world((OLD, 100)))
    pretence.since()
    assert publisher.publish(a_world((OLD, 100))) == Published(True, None)
    assert pretence.since() == []


def test_a_new_split_writes_routes_only() -> None:
    pretence = Pretence()
    publisher = a_publisher(pretence)
    publisher.publish(a_world((OLD, 90), (NEW, 10)))
    pretence.since()
    publisher.publish(a_world((OLD, 50), (NEW, 50)))
    assert pretence.since() == ["write routes.json"]


def test_a_new_pod_writes_its_file_and_the_preview_but_no_routes() -> None:
    pretence = Pretence()
    publisher = a_publisher(pretence)
    publisher.publish(a_world((OLD, 100)))
    pretence.since()
    publisher.publish(a_world((OLD, 100), endpoints={Service("shop", OLD): (Endpoint("10.0.0.1", 8080),)}))
    assert pretence.since() == [f"write {OLD_FILE}", "write clusters.json"]


def test_a_revision_that_is_no_longer_routed_keeps_its_cluster_until_its_requests_can_have_ended() -> None:
    pretence = Pretence()
    publisher = a_publisher(pretence)
    publisher.publish(a_world((OLD, 50), (NEW, 50)))
    gone_at = pretence.now
    assert publisher.publish(a_world((NEW, 100))) == Published(True, gone_at + LEAVES_SECONDS)
    assert pretence.clusters() == [f"shop/sentiment/{OLD}", f"shop/sentiment/{NEW}"]
    pretence.since()
    pretence.now = gone_at + LEAVES_SECONDS
    assert publisher.publish(a_world((NEW, 100))) == Published(True, None)
    assert pretence.since() == ["write clusters.json", f"remove {OLD_FILE}"]
    assert pretence.clusters() == [f"shop/sentiment/{NEW}"]


def test_while_envoy_refuses_routes_no_cluster_leaves() -> None:
    pretence = Pretence()
    publisher = a_publisher(pretence)
    publisher.publish(a_world((OLD, 50), (NEW, 50)))
    pretence.takes = False
    assert not publisher.publish(a_world((NEW, 100))).confirmed
    pretence.now += 10 * LEAVES_SECONDS
    assert not publisher.publish(a_world((NEW, 100))).confirmed
    assert pretence.clusters() == [f"shop/sentiment/{OLD}", f"shop/sentiment/{NEW}"]


def test_a_silent_envoy_holds_the_next_file_back_for_a_bounded_time() -> None:
    pretence = Pretence(envoy=EnvoyState(warming_clusters=1))
    started = pretence.now
    published = a_publisher(pretence).publish(a_world((OLD, 100)))
    assert not published.confirmed
    assert "write routes.json" in pretence.journal
    assert pretence.now - started == pytest.approx(2 * SETTLE_SECONDS, abs=0.1)


def test_without_an_envoy_all_files_are_written_at_once_and_confirmed_when_it_has_started() -> None:
    pretence = Pretence(envoy=None)
    publisher = a_publisher(pretence)
    published = publisher.publish(a_world((OLD, 100)))
    assert (published.confirmed, pretence.now) == (False, 100.0)
    assert published.again_at is not None
    pretence.envoy = EnvoyState(
        clusters_version=pretence.disk["clusters.json"]["version_info"],
        routes_version=pretence.disk["routes.json"]["version_info"],
    )
    assert publisher.publish(a_world((OLD, 100))) == Published(True, None)


def test_an_agent_that_starts_again_writes_nothing_when_nothing_changed() -> None:
    pretence = Pretence()
    a_publisher(pretence).publish(a_world((OLD, 90), (NEW, 10)))
    pretence.since()
    assert a_publisher(pretence).publish(a_world((OLD, 90), (NEW, 10))) == Published(True, None)
    assert pretence.since() == []


def test_an_agent_that_starts_again_lets_old_clusters_leave_in_order() -> None:
    pretence = Pretence()
    a_publisher(pretence).publish(a_world((OLD, 50), (NEW, 50)))
    a_publisher(pretence).publish(a_world((NEW, 100)))
    assert pretence.clusters() == [f"shop/sentiment/{OLD}", f"shop/sentiment/{NEW}"]
