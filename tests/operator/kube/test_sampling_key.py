"""The key of the routers is made where there is none, read again seldom, and nothing stops for want of it."""

import base64
import logging
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.conftest import until
from tidegate.errors import ClusterUnavailable
from tidegate.kube import sampling_key
from tidegate.kube.api import SECRETS, KubernetesApi, Manifest, Resource
from tidegate.kube.sampling_key import DOUBTED_SECONDS, FRESH_SECONDS, SamplingKey

NAME = "tidegate-sampling-key"
KEY, OTHER_KEY = b"k" * 32, b"o" * 32


def a_secret(key: bytes) -> Manifest:
    return {"metadata": {"name": NAME}, "data": {"key": base64.b64encode(key).decode()}}


class ApiServer:
    """Has one Secret at most. An exception in its place is raised."""

    def __init__(self, secret: Manifest | Exception | None) -> None:
        self.secret = secret
        self.calls = 0
        self.taken_by_another = False

    def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        self.calls += 1
        if isinstance(self.secret, Exception):
            raise self.secret
        return self.secret

    def create(self, resource: Resource, manifest: Mapping[str, Any]) -> Manifest | None:
        if self.taken_by_another:
            self.secret = a_secret(OTHER_KEY)
            return None
        self.secret = dict(manifest)
        return self.secret


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(sampling_key, "monotonic", clock)
    return clock


def test_a_missing_key_is_made_of_32_random_bytes() -> None:
    servers = ApiServer(None), ApiServer(None)
    first, second = (SamplingKey(server, "tidegate", NAME).current() for server in servers)

    assert first is not None
    assert second is not None
    assert (len(first), first != second) == (32, True)
    assert servers[0].secret == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": NAME, "namespace": "tidegate", "labels": {"app.kubernetes.io/managed-by": "tidegate"}},
        "type": "Opaque",
        "data": {"key": base64.b64encode(first).decode()},
    }


def test_of_two_operators_that_start_at_once_both_take_the_one_key_that_is_there(clock: Clock) -> None:
    server = ApiServer(None)
    server.taken_by_another = True
    key = SamplingKey(server, "tidegate", NAME)

    assert key.current() is None
    clock.now += DOUBTED_SECONDS
    assert key.current() == OTHER_KEY


def test_the_key_is_read_once_a_minute_and_sooner_when_a_router_has_refused_it(clock: Clock) -> None:
    server = ApiServer(a_secret(KEY))
    key = SamplingKey(server, "tidegate", NAME)
    for _ in range(3):
        assert key.current() == KEY
    assert server.calls == 1

    server.secret = a_secret(OTHER_KEY)
    clock.now += DOUBTED_SECONDS
    assert key.current() == KEY
    key.doubt()
    assert (key.current(), server.calls) == (OTHER_KEY, 2)

    clock.now += FRESH_SECONDS
    assert (key.current(), server.calls) == (OTHER_KEY, 3)


def test_an_api_server_that_does_not_answer_leaves_the_key_that_was_read(clock: Clock) -> None:
    server = ApiServer(a_secret(KEY))
    key = SamplingKey(server, "tidegate", NAME)
    key.current()
    server.secret = ClusterUnavailable("no answer")
    clock.now += FRESH_SECONDS

    assert key.current() == KEY


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        pytest.param(ClusterUnavailable("forbidden", 403), "forbidden", id="not allowed to read it"),
        pytest.param(a_secret(b"short"), "its entry key has 5 bytes, and needs 16 at least", id="too short"),
        pytest.param({"data": {"key": "?"}}, "its entry key is unreadable", id="not base64"),
        pytest.param({"data": None}, "its entry key has 0 bytes", id="empty"),
    ],
)
def test_a_key_that_cannot_be_had_is_said_once(
    secret: Manifest | Exception, says: str, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    key = SamplingKey(ApiServer(secret), "tidegate", NAME)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert key.current() is None
            clock.now += DOUBTED_SECONDS

    assert [record.getMessage().partition(": ")[2].startswith(says) for record in caplog.records] == [True]


def test_without_a_name_nothing_is_asked_or_made() -> None:
    server = ApiServer(None)
    key = SamplingKey(server, "tidegate", "")
    key.start()

    assert (key.current(), server.calls, server.secret) == (None, 0, None)


@pytest.mark.apiserver
def test_two_operators_agree_on_the_key_that_a_real_api_server_has(
    connect: Callable[[], KubernetesApi], api: KubernetesApi, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling_key, "DOUBTED_SECONDS", 0.05)
    first, second = (SamplingKey(connect(), namespace, NAME) for _ in range(2))
    first.start()
    second.start()
    until(lambda: first.current() is not None and first.current() == second.current())

    stored = api.get(SECRETS, namespace, NAME)
    assert stored is not None
    assert base64.b64decode(stored["data"]["key"]) == first.current()
