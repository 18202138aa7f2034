"""MetricTemplates, followed from the first use on: a cluster whose models name none is asked for none."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence

from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import METRIC_TEMPLATES, KubernetesApi
from tidegate.kube.informer import Informer, Item, Key, Kind
from tidegate.model.metric_template import FoundTemplate, MetricTemplate, parse_template


class MetricTemplates:
    """Safe to use from any thread. `changed` is called for each user of a template that isn't any more as it was."""

    def __init__(self, api: KubernetesApi, changed: Callable[[str, str], None], namespaces: tuple[str, ...]) -> None:
        self._api, self._changed, self._namespaces = api, changed, namespaces
        self._informers: dict[str | None, Informer[MetricTemplate | str]] = {}
        self._used: dict[Key, frozenset[str]] = {}
        self._lock = threading.Lock()

    def found(self, user: Key, names: Collection[str]) -> Mapping[str, FoundTemplate]:
        """The templates of the user's namespace with these names; `user` is told when one of them changes."""
        with self._lock:
            self._used[user] = frozenset(names)
        informer = self._informer(user[0])
        if informer.complete:
            return {name: informer.store.get(user[0], name) for name in names}
        return {name: self._read(user[0], name) for name in names}

    def forget(self, user: Key) -> None:
        """It uses none any more."""
        with self._lock:
            self._used.pop(user, None)

    def stop(self) -> None:
        """Follows nothing any more."""
        for informer in self._informers.values():
            informer.stop()

    def _read(self, namespace: str, name: str) -> FoundTemplate:
        """As it is now: all of them haven't been listed yet."""
        try:
            manifest = self._api.get(METRIC_TEMPLATES, namespace, name)
        except ClusterUnavailable as error:
            return f"the MetricTemplate {name} can't be read: {error}"
        return parse_template(manifest) if manifest else None

    def _informer(self, namespace: str) -> Informer[MetricTemplate | str]:
        where = namespace if self._namespaces else None
        with self._lock:
            informer = self._informers.get(where)
            if informer is None:
                followed = Kind(METRIC_TEMPLATES, parse_template, selector=None, owned=False, needed=False)
                informer = self._informers[where] = Informer(self._api, followed, self._heard, namespace=where)
                informer.start()
            return informer

    def _heard(self, items: Sequence[Item[MetricTemplate | str]]) -> None:
        changed = {item.key for item in items}
        with self._lock:
            users = [user for user, names in self._used.items() if any((user[0], name) in changed for name in names)]
        for user in users:
            self._changed(*user)
