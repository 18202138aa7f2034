"""One informer, in client-go's word, for every kind that is followed: a small copy of the objects that keeps up.

LIST in pages, WATCH from there, LIST again when the server has forgotten that far. Of each object only what
`Kind.parse` makes of it is kept. Belt and braces against watches that fall silent: the server ends each after a minute,
bookmarks show that it lives, and every so often everything is listed anew.
"""

import logging
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import uniform
from time import monotonic
from typing import Any, Generic, TypeVar

from tidegate.errors import ClusterUnavailable, MalformedObject
from tidegate.kube.api import KubernetesApi, Manifest, Resource
from tidegate.resources.names import MODEL_DEPLOYMENT, SELECTOR
from tidegate.resources.ownership import Controller, controller_of

PAGE_SIZE = 100
"""Objects of one page: about as much as is held of them unparsed at once."""
WATCH_SECONDS = 60
RELIST_SECONDS = 600
ROUND_SECONDS = 1.0
"""The least time from one LIST, or one watch, to the next, whatever the server answers."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
GONE = 410
NOT_OFFERED = frozenset({403, 404})
"""What an API server answers of a kind that it doesn't have, or doesn't show."""
MALFORMED = (MalformedObject, LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""What parsing raises on an object of another shape."""

log = logging.getLogger(__name__)

T = TypeVar("T")
Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True)
class Kind(Generic[T]):
    """What is followed, and what is kept of each object."""

    resource: Resource
    parse: Callable[[Manifest], T]
    """Raises any of MALFORMED on an object that can't be used: that one is named in the log and left out."""
    selector: str | None = SELECTOR
    owned: bool = True
    """Whether a ModelDeployment manages all of these itself; pods are managed by what it manages."""
    needed: bool = True
    """Whether decisions rest on these; where not, nothing waits for them."""
    metadata_only: bool = False
    """Whether nothing but their metadata is asked for, however large they are."""
    optional: bool = False
    """Whether an API server may not have this kind, or not show it: then nothing waits for it."""


@dataclass(frozen=True, slots=True)
class Item(Generic[T]):
    """One object as last seen."""

    key: Key
    uid: str
    version: int
    """0 where the server gave none that can be compared."""
    owner: str
    """The ModelDeployment that it belongs to by its label, in the same namespace; empty for none."""
    controller: Controller | None
    """Who manages it by its owner reference."""
    value: T

    @classmethod
    def parse(cls, manifest: Manifest, parse: Callable[[Manifest], T]) -> "Item[T]":
        """Raises any of MALFORMED."""
        metadata = manifest["metadata"]
        owner = sys.intern((metadata.get("labels") or {}).get(MODEL_DEPLOYMENT, ""))
        key, uid, controller = _key(metadata), metadata.get("uid", ""), controller_of(manifest)
        return cls(key, uid, version_of(metadata), owner, controller, parse(manifest))


class Store(Generic[T]):
    """Objects of one kind as last seen, by name and by owner. Safe to use from any thread."""

    def __init__(self) -> None:
        self._items: dict[Key, Item[T]] = {}
        self._owned: dict[Key, dict[Key, Item[T]]] = {}
        self._lock = threading.Lock()

    def get(self, namespace: str, name: str) -> T | None:
        """The object, or None."""
        item = self.item((namespace, name))
        return item.value if item else None

    def item(self, key: Key) -> Item[T] | None:
        """The object with its version, or None."""
        with self._lock:
            return self._items.get(key)

    def all(self) -> list[T]:
        """Every object, in no order."""
        with self._lock:
            return [item.value for item in self._items.values()]

    def owned_by(self, namespace: str, name: str) -> list[Item[T]]:
        """The objects that bear a ModelDeployment's label, or none where the name is empty; in no order."""
        with self._lock:
            return list(self._owned.get((namespace, name), {}).values())

    def put(self, item: Item[T]) -> list[Item[T]]:
        """Takes an object in unless a newer one is here, which we may have written; gives back what is news."""
        with self._lock:
            return self._put(item)

    def remove(self, key: Key, uid: str, version: int = 0) -> list[Item[T]]:
        """Forgets an object, unless it was made or written anew since; gives back what is gone."""
        with self._lock:
            held = self._items.get(key)
            if held is None or held.uid != uid or 0 < version < held.version:
                return []
            return [self._drop(held)]

    def forget(self, namespace: str, name: str) -> None:
        """Forgets whatever is there under this name."""
        with self._lock:
            if held := self._items.get((namespace, name)):
                self._drop(held)

    def replace(self, listed: Collection[Key], fresh: Iterable[Item[T]], version: int) -> list[Item[T]]:
        """Takes in a whole list as of `version`; gives back what is news. What we wrote after it stays.

        `fresh` are the objects that aren't here in the same version; of the others their names do.
        """
        with self._lock:
            unlisted = [held for key, held in self._items.items() if key not in listed]
            gone = [held for held in unlisted if not version or held.version <= version]
            news = [self._drop(held) for held in gone]
            for item in fresh:
                news += self._put(item)
            return news

    def _put(self, item: Item[T]) -> list[Item[T]]:
        held = self._items.get(item.key)
        if held is not None and 0 < item.version <= held.version:
            return []
        moved = [] if held is None or held.owner == item.owner else [self._drop(held)]
        self._items[item.key] = item
        self._owned.setdefault((item.key[0], item.owner), {})[item.key] = item
        same = held is not None and _but_version(held) == _but_version(item)
        return [] if same else [*moved, item]

    def _drop(self, item: Item[T]) -> Item[T]:
        del self._items[item.key]
        owner = (item.key[0], item.owner)
        del self._owned[owner][item.key]
        if not self._owned[owner]:
            del self._owned[owner]
        return item


def _but_version(item: Item[T]) -> tuple[object, ...]:
    return item.key, item.uid, item.owner, item.controller, item.value


class Informer(Generic[T]):
    """Keeps a Store up to date in a thread of its own, and calls `changed` with what is news.

    An object counts as news when its parsed value changed, or when it is gone. The first LIST is told even if empty.
    Nothing that the API server or the log-in does ends the thread: what failed is tried again, after a growing pause.
    """

    def __init__(
        self,
        api: KubernetesApi,
        kind: Kind[T],
        changed: Callable[[Sequence[Item[T]]], None],
        *,
        namespace: str | None = None,
    ) -> None:
        self.store = Store[T]()
        self.kind = kind
        self.namespace = namespace
        self._api = api
        self._changed = changed
        self._complete = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"informer-{kind.resource.plural}", daemon=True)
        self._version: str | None = None
        self._relist_at = 0.0
        self._pause = FIRST_PAUSE
        self._last_sign = monotonic()
        self._complaints: dict[Key, str] = {}
        self.absent = ""
        """Why there is nothing to follow, of an optional kind; empty where there is."""

    def start(self) -> None:
        """Begins in a thread of its own, which ends with the process."""
        self._thread.start()

    def stop(self) -> None:
        """Ends with the next thing that the server says."""
        self._stopped.set()

    @property
    def complete(self) -> bool:
        """Whether the store has held a whole list once."""
        return self._complete.is_set()

    @property
    def alive(self) -> bool:
        """Whether the thread runs, or wasn't to run yet: a dead one would never hear anything again."""
        return self._thread.is_alive() or self._thread.ident is None

    def silent_seconds(self) -> float:
        """Seconds since the server last said anything."""
        return monotonic() - self._last_sign

    def put(self, manifest: Manifest) -> None:
        """Takes in what we wrote ourselves, so that we read it at once."""
        if item := self._parsed(manifest):
            self.store.put(item)

    def follow_once(self) -> None:
        """One LIST if it is due, and one watch. Raises whatever the API raises; the next call goes on from there."""
        if self._version is None or monotonic() >= self._relist_at:
            self._version = self._list()
            self._relist_at = monotonic() + RELIST_SECONDS
        try:
            self._watch(self._version)
        except ClusterUnavailable as error:
            if error.status == GONE:
                self._version = None  # the server has forgotten that far back
            raise

    def _watch(self, version: str) -> None:
        where = self.kind.resource, self.namespace, self.kind.selector
        metadata_only = self.kind.metadata_only
        for event in self._api.watch(*where, version, seconds=WATCH_SECONDS, metadata_only=metadata_only):
            if self._stopped.is_set():
                return
            self._hear()
            self._take(event)
        self._hear()  # the server ended the watch in good order

    def _run(self) -> None:
        again_at = 0.0
        while not self._stopped.wait(max(0.0, again_at - monotonic())):
            again_at = monotonic() + ROUND_SECONDS
            try:
                self.follow_once()
            except ClusterUnavailable as error:
                if not self._is_absent(error):
                    log.warning("%s; trying again in about %.1f s", error, self._pause)
                self._back_off()
            except Exception:
                log.exception("%s can't be followed; trying again", self.kind.resource.plural)
                self._back_off()

    def _is_absent(self, error: ClusterUnavailable) -> bool:
        """Whether the API server says that there is no such kind, or that it isn't ours to see. Said once."""
        if not self.kind.optional or error.status not in NOT_OFFERED:
            return False
        if not self.absent:
            log.info("%s; looking again from time to time", error)
        self.absent = error.said
        self._last_sign = monotonic()
        return True

    def _back_off(self) -> None:
        self._stopped.wait(self._pause * uniform(0.7, 1.3))
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def _hear(self) -> None:
        self._last_sign = monotonic()
        self._pause = FIRST_PAUSE

    def _list(self) -> str:
        """The version that it showed. Nothing is taken in before the last page is there."""
        listed: set[Key] = set()
        fresh: list[Item[T]] = []
        token: str | None = ""
        while token is not None:
            where = self.kind.resource, self.namespace, self.kind.selector
            metadata_only = self.kind.metadata_only
            page = self._api.list(*where, limit=PAGE_SIZE, continue_token=token, metadata_only=metadata_only)
            self._hear()
            fresh += self._unknown(page.pop("items", None) or (), listed)
            token = page["metadata"].get("continue") or None
        version = str(page["metadata"]["resourceVersion"])
        news = self.store.replace(listed, fresh, version_of(page["metadata"]))
        self.absent = ""
        self._complaints = {key: said for key, said in list(self._complaints.items()) if key in listed}
        if news or not self.complete:
            self._complete.set()
            self._changed(news)
        return version

    def _unknown(self, manifests: Iterable[Manifest], listed: set[Key]) -> Iterator[Item[T]]:
        """The objects of a page that aren't here in the same version; only these are parsed."""
        for manifest in manifests:
            metadata = _metadata(manifest)
            held = self.store.item(_key(metadata))
            listed.add(held.key if held else _key(metadata))
            if held and (held.uid, held.version) == (metadata.get("uid", ""), version_of(metadata) or -1):
                continue
            if item := self._parsed(manifest):
                yield item

    def _take(self, event: Manifest) -> None:
        kind, manifest = event["type"], event["object"]
        if kind == "ERROR":
            sentence = f"the watch of {self.kind.resource.plural} broke: {manifest.get('message')}"
            raise ClusterUnavailable(sentence, manifest.get("code"))
        metadata = _metadata(manifest)
        self._version = metadata.get("resourceVersion") or self._version
        news = [] if kind == "BOOKMARK" else self._news(kind, manifest, metadata)
        if news:
            self._changed(news)

    def _news(self, kind: str, manifest: Manifest, metadata: Mapping[str, Any]) -> list[Item[T]]:
        if kind == "DELETED":
            self._complaints.pop(_key(metadata), None)
            return self.store.remove(_key(metadata), metadata.get("uid", ""), version_of(metadata))
        item = self._parsed(manifest)
        return self.store.put(item) if item else []

    def _parsed(self, manifest: Manifest) -> Item[T] | None:
        """None for an object that can't be used: a good one that is known under its name stays."""
        key = _key(_metadata(manifest))
        try:
            item = Item.parse(manifest, self.kind.parse)
        except MALFORMED as error:
            said = str(error) if isinstance(error, MalformedObject) else f"{type(error).__name__}: {error}"
            if key not in self._complaints or (any(key) and self._complaints[key] != said):
                log.error("%s %s/%s is skipped: %s", self.kind.resource.kind, *key, said)
            self._complaints[key] = said
            return None
        self._complaints.pop(key, None)
        return item


def _metadata(manifest: object) -> Mapping[str, Any]:
    found = manifest.get("metadata") if isinstance(manifest, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _key(metadata: Mapping[str, Any]) -> Key:
    return sys.intern(str(metadata.get("namespace", ""))), str(metadata.get("name", ""))


def version_of(metadata: Mapping[str, Any]) -> int:
    """The resourceVersion; 0 where the server gave none that can be compared."""
    # Ordered within one kind, which Kubernetes has promised since 1.35 and etcd has always given.
    text = str(metadata.get("resourceVersion", "0"))
    return int(text) if text.isdigit() else 0
