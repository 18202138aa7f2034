"""A copy of the cluster's objects that keeps up, and in which we read what we wrote."""

from collections.abc import Callable, Iterator
from queue import Empty, Queue
from typing import Any

import pytest

from tests.conftest import until
from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import CONFIG_MAPS, KubernetesApi, Manifest
from tidegate.kube.informer import Store, Watch


def seen(version: int, *, name: str = "one", uid: str = "u-1") -> Manifest:
    return {"metadata": {"namespace": "shop", "name": name, "uid": uid, "resourceVersion": str(version)}}


def store_with(*manifests: Manifest) -> Store:
    store = Store()
    for manifest in manifests:
        store.put(manifest)
    return store


@pytest.mark.parametrize(
    ("held", "offered", "kept"),
    [
        pytest.param([], seen(1), seen(1), id="nothing: it is kept"),
        pytest.param([seen(1)], seen(2), seen(2), id="an older version: it is kept"),
        pytest.param([seen(3)], seen(2), seen(3), id="a newer version, which we wrote: that stays"),
        pytest.param([seen(9)], seen(2, uid="u-2"), seen(2, uid="u-2"), id="another object of that name: it is kept"),
    ],
)
def test_an_object_is_offered_to_a_store_with(held: list[Manifest], offered: Manifest, kept: Manifest) -> None:
    store = store_with(*held)
    told = store.put(offered)

    assert store.all() == [kept]
    assert told is (kept == offered)


@pytest.mark.parametrize(
    ("gone", "left"),
    [
        pytest.param(seen(2), [], id="the one that is held"),
        pytest.param(seen(2, uid="u-0"), [seen(1)], id="an earlier one of that name"),
        pytest.param(seen(2, name="other"), [seen(1)], id="one that was never seen"),
    ],
)
def test_a_store_is_told_that_an_object_went(gone: Manifest, left: list[Manifest]) -> None:
    store = store_with(seen(1))

    assert store.remove(gone) is (left == [])
    assert store.all() == left


def test_a_whole_list_replaces_a_store_except_for_what_we_wrote_since() -> None:
    same, changed, gone, ours = seen(1), seen(2, name="changed"), seen(3, name="gone"), seen(9, name="ours")
    store = store_with(same, changed, gone, ours)
    new = seen(5, name="changed")

    assert store.replace([same, new], 5) == [gone, new]
    assert store.get("shop", "ours") == ours
    assert {manifest["metadata"]["name"] for manifest in store.all()} == {"one", "changed", "ours"}


class Scripted:
    """An API that answers lists and watches from a script; an exception in it is raised."""

    def __init__(self, *script: Any) -> None:
        self.asked: list[str] = []
        self._script = list(script)
        self.done = Queue[None]()

    def list(self, *_: object) -> Manifest:
        self.asked.append("list")
        answer: Manifest = self._next()
        return answer

    def watch(self, _: object, __: object, ___: object, version: str, *, seconds: int) -> Iterator[Manifest]:
        self.asked.append(f"watch from {version}")
        yield from self._next()

    def _next(self) -> Any:
        if not self._script:
            self.done.put(None)
            Queue[None]().get()  # for ever: the thread ends with the process
        answer = self._script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def listed(version: int, *manifests: Manifest) -> Manifest:
    return {"metadata": {"resourceVersion": str(version)}, "items": list(manifests)}


def event(kind: str, manifest: Manifest) -> Manifest:
    return {"type": kind, "object": manifest}


GONE = {"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}}


@pytest.mark.parametrize(
    ("script", "asked"),
    [
        pytest.param(
            [listed(5, seen(1)), [event("BOOKMARK", seen(8))], []],
            ["list", "watch from 5", "watch from 8", "watch from 8"],
            id="a bookmark moves on to its version",
        ),
        pytest.param(
            [listed(5), [GONE], listed(9)],
            ["list", "watch from 5", "list", "watch from 9"],
            id="a version that is too old makes it list again",
        ),
        pytest.param(
            [listed(5), [event("ADDED", seen(6))], ClusterUnavailable("it broke")],
            ["list", "watch from 5", "watch from 6", "watch from 6"],
            id="a watch that breaks goes on where it was",
        ),
        pytest.param(
            [ClusterUnavailable("not yet"), listed(5)],
            ["list", "list", "watch from 5"],
            id="a list that fails is asked for again",
        ),
    ],
)
def test_after(script: list[Any], asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.kube.informer.FIRST_PAUSE", 0.01)
    api = Scripted(*script)
    Watch(api, CONFIG_MAPS, lambda _: None).start()  # type: ignore[arg-type]
    api.done.get(timeout=10)

    assert api.asked == asked


@pytest.mark.apiserver
class TestAgainstARealServer:
    """A watch of one namespace's config maps."""

    @pytest.fixture
    def changes(self) -> Queue[Manifest]:
        return Queue()

    @pytest.fixture
    def watch(self, connect: Callable[[], KubernetesApi], namespace: str, changes: Queue[Manifest]) -> Iterator[Watch]:
        api = connect()
        api.create(CONFIG_MAPS, config_map(namespace, "early"))
        watch = Watch(api, CONFIG_MAPS, changes.put, namespace=namespace, selector="made-by=tests")
        assert not watch.complete
        watch.start()
        assert watch.wait_until_complete(10)
        yield watch
        watch.stop()
        api.create(CONFIG_MAPS, config_map(namespace, "the-end"))  # so that the thread hears something and ends

    def test_what_was_there_is_listed(self, watch: Watch, changes: Queue[Manifest]) -> None:
        assert changes.get(timeout=5)["metadata"]["name"] == "early"
        assert [manifest["metadata"]["name"] for manifest in watch.store.all()] == ["early"]
        assert watch.silent_seconds() < 5

    def test_changes_and_deletions_are_followed(
        self, watch: Watch, changes: Queue[Manifest], api: KubernetesApi, namespace: str
    ) -> None:
        changes.get(timeout=5)
        api.merge(CONFIG_MAPS, namespace, "early", {"data": {"a": "1"}})
        assert changes.get(timeout=5)["data"] == {"a": "1"}
        api.delete(CONFIG_MAPS, namespace, "early")
        assert changes.get(timeout=5)["metadata"]["name"] == "early"
        assert until(lambda: watch.store.all() == [])

    def test_what_is_written_is_read_at_once_and_told_once(
        self, watch: Watch, changes: Queue[Manifest], api: KubernetesApi, namespace: str
    ) -> None:
        changes.get(timeout=5)
        patched = api.merge(CONFIG_MAPS, namespace, "early", {"data": {"a": "1"}})
        watch.store.put(patched)

        assert watch.store.get(namespace, "early") == patched
        api.create(CONFIG_MAPS, config_map(namespace, "late"))
        told = changes.get(timeout=5)["metadata"]["name"]
        if told == "early":  # the watch was faster than we were
            told = changes.get(timeout=5)["metadata"]["name"]
        assert told == "late"
        with pytest.raises(Empty):
            changes.get_nowait()


def config_map(namespace: str, name: str) -> Manifest:
    metadata = {"name": name, "namespace": namespace, "labels": {"made-by": "tests"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
