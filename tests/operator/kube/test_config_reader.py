"""Whoever uses a ConfigMap or Secret hears of its changes, and reads each once; by a real API server."""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from queue import Empty, Queue
from time import monotonic

import pytest

from tests.conftest import until
from tidegate.errors import ClusterUnavailable
from tidegate.kube import config_reader
from tidegate.kube.api import CONFIG_MAPS, SECRETS, KubernetesApi, Manifest, Resource
from tidegate.kube.config_reader import ConfigReader
from tidegate.model.config import ConfigKind, ConfigSource, Held, Keys, Unreadable

pytestmark = pytest.mark.apiserver
THRESHOLDS = ConfigSource(ConfigKind.CONFIG_MAP, "thresholds")
TOKEN = ConfigSource(ConfigKind.SECRET, "token")
KEY = b"k" * 32


class CountingApi:
    """The API server's client, which notes what is read of single objects."""

    def __init__(self, api: KubernetesApi) -> None:
        self.list, self.watch = api.list, api.watch
        self.read: list[str] = []
        self.fails = False
        self._api = api

    def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        self.read.append(name)
        if self.fails:
            raise ClusterUnavailable("nobody answers")
        return self._api.get(resource, namespace, name)


@dataclass
class Setting:
    """A namespace with a reader that digits uses."""

    api: KubernetesApi
    namespace: str
    counting: CountingApi
    reader: ConfigReader
    changes: "Queue[tuple[str, str]]" = field(default_factory=Queue)

    def put(self, resource: Resource, name: str, **data: str) -> None:
        manifest = {"apiVersion": "v1", "kind": resource.kind, "metadata": {"name": name, "namespace": self.namespace}}
        self.api.apply(resource, {**manifest, "data": data}, manager="somebody")

    def found(self, source: ConfigSource = THRESHOLDS, keys: Keys = ()) -> object:
        return self.reader.found((self.namespace, "digits"), {source: keys})[source]

    def hears(self) -> None:
        """Waits for the next change, and for all that come with it."""
        assert self.changes.get(timeout=20) == (self.namespace, "digits")

    def hears_nothing(self, seconds: float) -> None:
        with pytest.raises(Empty):
            self.changes.get(timeout=seconds)


@pytest.fixture
def setting(connect: Callable[[], KubernetesApi], api: KubernetesApi, namespace: str) -> Iterator[Setting]:
    changes: Queue[tuple[str, str]] = Queue()
    counting = CountingApi(connect())
    reader = ConfigReader(counting, lambda *key: changes.put(key), (namespace,), lambda: KEY)  # type: ignore[arg-type] # all of it that is called
    yield Setting(api, namespace, counting, reader, changes)
    reader.stop()


def test_content_is_read_once_for_each_change_and_its_users_hear_of_it(setting: Setting) -> None:
    setting.put(CONFIG_MAPS, "thresholds", LIMIT="0.5")
    before = setting.found()
    assert isinstance(before, Held)
    assert (sorted(before.keys), before.size) == (["LIMIT"], 3)
    setting.hears()  # the first list

    setting.counting.read.clear()
    assert [setting.found() for _ in range(5)] == [before] * 5
    assert setting.counting.read == []
    setting.put(CONFIG_MAPS, "thresholds", LIMIT="0.7")
    setting.hears()
    after = setting.found()
    assert setting.found() == after != before
    assert setting.counting.read == ["thresholds"]


def test_the_same_content_has_the_same_digest_whoever_writes_it_again(setting: Setting) -> None:
    setting.put(CONFIG_MAPS, "thresholds", LIMIT="0.5")
    first = setting.found()
    setting.hears()
    setting.api.delete(CONFIG_MAPS, setting.namespace, "thresholds")
    setting.hears()
    assert setting.found() is None
    setting.put(CONFIG_MAPS, "thresholds", LIMIT="0.5")
    setting.hears()

    assert setting.found() == first


def test_nobody_hears_of_what_nobody_uses(setting: Setting) -> None:
    setting.put(CONFIG_MAPS, "thresholds", LIMIT="0.5")
    assert setting.found() is not None
    setting.hears()
    setting.put(CONFIG_MAPS, "others", A="b")
    setting.hears_nothing(0.5)
    setting.reader.forget((setting.namespace, "digits"))
    setting.put(CONFIG_MAPS, "thresholds", LIMIT="0.9")
    setting.hears_nothing(0.5)


def test_nothing_but_metadata_is_followed(setting: Setting) -> None:
    setting.put(CONFIG_MAPS, "thresholds", LIMIT="x" * 500_000)
    where = CONFIG_MAPS, setting.namespace, None
    page = setting.api.list(*where, metadata_only=True)
    listed = {each["metadata"]["name"]: each for each in page["items"]}
    version = page["metadata"]["resourceVersion"]
    setting.put(CONFIG_MAPS, "thresholds", LIMIT="y" * 500_000)
    event = next(setting.api.watch(*where, version, seconds=5, metadata_only=True))

    assert "data" not in listed["thresholds"]
    assert (event["type"], event["object"]["metadata"]["name"], "data" in event["object"]) == (
        "MODIFIED",
        "thresholds",
        False,
    )


def test_a_secrets_digest_takes_the_key(setting: Setting) -> None:
    setting.put(SECRETS, "token", TOKEN=base64.b64encode(b"1234").decode())
    setting.put(CONFIG_MAPS, "thresholds", TOKEN=base64.b64encode(b"1234").decode())
    secret, config_map = setting.found(TOKEN), setting.found()

    assert isinstance(secret, Held)
    assert isinstance(config_map, Held)
    assert secret.digest != config_map.digest


def test_without_the_key_no_secret_can_be_told(connect: Callable[[], KubernetesApi], namespace: str) -> None:
    reader = ConfigReader(connect(), lambda *_: None, (namespace,), lambda: None)
    found = reader.found((namespace, "digits"), {TOKEN: ()})
    reader.stop()

    assert found == {
        TOKEN: Unreadable("there is no key by which Secrets' content is told; the operator's log says why")
    }


def test_what_cannot_be_read_is_not_asked_for_again_at_once(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    setting.put(CONFIG_MAPS, "thresholds", LIMIT="0.5")
    setting.counting.fails = True
    started = monotonic()
    assert [setting.found() for _ in range(5)] == [Unreadable("nobody answers")] * 5
    assert setting.counting.read == ["thresholds"]
    setting.counting.fails = False
    monkeypatch.setattr(config_reader, "DOUBTED_SECONDS", 0.0)

    assert isinstance(until(setting.found), Held)
    assert monotonic() - started < 20
