"""What ConfigMaps and Secrets have that model servers use: a digest of it, for as long as the object stays as it is.

Only their metadata is followed, from the first use of a kind on; an object is read when a server uses it and its
version is a new one. Nothing of what is in it is kept.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import NamedTuple

from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import CONFIG_MAPS, SECRETS, KubernetesApi, Manifest, Resource
from tidegate.kube.informer import Informer, Item, Key, Kind, version_of
from tidegate.model.config import ConfigKind, ConfigSource, Found, Held, Keys, Unreadable
from tidegate.resources.config_copy import held

RESOURCES: Mapping[ConfigKind, Resource] = {ConfigKind.CONFIG_MAP: CONFIG_MAPS, ConfigKind.SECRET: SECRETS}
DOUBTED_SECONDS = 15.0
"""How long an answer holds that nobody says is still true: an error, or what was read while changes aren't heard of."""
Place = tuple[ConfigSource, str]
"""A ConfigMap or Secret, and its namespace."""


class _Read(NamedTuple):
    """What was read of an object, or why it couldn't be, and when."""

    uid: str
    version: int
    found: Held | Unreadable
    at: float


def _version(manifest: Manifest) -> str:
    return str(manifest["metadata"].get("resourceVersion", ""))


class ConfigReader:
    """Safe to use from any thread. `changed` is called for each user of an object that isn't any more as it was."""

    def __init__(
        self,
        api: KubernetesApi,
        changed: Callable[[str, str], None],
        namespaces: tuple[str, ...],
        secret_key: Callable[[], bytes | None] | None,
    ) -> None:
        self._api, self._changed, self._namespaces = api, changed, namespaces
        self._secret_key = secret_key
        self._informers: dict[tuple[ConfigKind, str | None], Informer[str]] = {}
        self._users: dict[Place, set[Key]] = {}
        self._used: dict[Key, frozenset[Place]] = {}
        self._known: dict[Place, dict[Keys, _Read]] = {}
        self._lock = threading.Lock()

    def found(self, user: Key, wanted: Mapping[ConfigSource, Keys]) -> dict[ConfigSource, Found]:
        """What each of them has, which `user` is told of when it changes. May ask the API server."""
        self._note(user, frozenset((source, user[0]) for source in wanted))
        return {source: self._found(user[0], source, keys) for source, keys in wanted.items()}

    def read(self, namespace: str, source: ConfigSource, keys: Keys) -> tuple[Held, Manifest] | None:
        """An object as it is now, and what it has. Raises ClusterUnavailable."""
        key = self._key(source.kind)
        manifest = self._api.get(RESOURCES[source.kind], namespace, source.name)
        if manifest is None or manifest["metadata"].get("deletionTimestamp"):
            return None
        has, metadata = held(manifest, keys, key), manifest["metadata"]
        read = _Read(metadata.get("uid", ""), version_of(metadata), has, monotonic())
        self._remember((source, namespace), keys, read)
        return has, manifest

    def forget(self, user: Key) -> None:
        """It uses none any more."""
        self._note(user, frozenset())

    def stop(self) -> None:
        """Follows nothing any more."""
        for informer in self._informers.values():
            informer.stop()

    def _found(self, namespace: str, source: ConfigSource, keys: Keys) -> Found:
        informer = self._informer(source.kind, namespace)
        item = informer.store.item((namespace, source.name))
        if informer.complete and item is None:
            return None
        known = self._known.get((source, namespace), {}).get(keys)
        if known and _holds(known, item):
            return known.found
        try:
            read = self.read(namespace, source, keys)
        except ClusterUnavailable as error:
            failed = Unreadable(str(error))
            self._remember((source, namespace), keys, _Read("", 0, failed, monotonic()))
            return failed
        return read[0] if read else None

    def _remember(self, place: Place, keys: Keys, read: _Read) -> None:
        with self._lock:
            self._known.setdefault(place, {})[keys] = read

    def _key(self, kind: ConfigKind) -> bytes | None:
        if kind is ConfigKind.CONFIG_MAP:
            return None
        key = self._secret_key() if self._secret_key else None
        if key is None:
            raise ClusterUnavailable("there is no key by which Secrets' content is told; the operator's log says why")
        return key

    def _informer(self, kind: ConfigKind, namespace: str) -> Informer[str]:
        where = namespace if self._namespaces else None
        with self._lock:
            informer = self._informers.get((kind, where))
            if informer is None:
                followed = Kind(RESOURCES[kind], _version, selector=None, owned=False, needed=False, metadata_only=True)
                informer = Informer(self._api, followed, lambda items: self._heard(kind, items), namespace=where)
                self._informers[kind, where] = informer
                informer.start()
            return informer

    def _heard(self, kind: ConfigKind, items: Sequence[Item[str]]) -> None:
        with self._lock:
            places = [(ConfigSource(kind, item.key[1]), item.key[0]) for item in items]
            users = {user for place in places for user in self._users.get(place, ())}
        for user in users:
            self._changed(*user)

    def _note(self, user: Key, used: frozenset[Place]) -> None:
        with self._lock:
            before = self._used.pop(user, frozenset())
            if used:
                self._used[user] = used
            for place in used - before:
                self._users.setdefault(place, set()).add(user)
            self._drop(user, before - used)

    def _drop(self, user: Key, places: Iterable[Place]) -> None:
        for place in places:
            users = self._users.get(place, set())
            users.discard(user)
            if not users:
                self._users.pop(place, None)
                self._known.pop(place, None)


def _holds(known: _Read, item: Item[str] | None) -> bool:
    """Whether what was read is so still; it may be newer than what has been heard of."""
    if item is None or isinstance(known.found, Unreadable):
        return monotonic() - known.at < DOUBTED_SECONDS
    return known.uid == item.uid and known.version >= item.version
