"""A copy of the cluster's objects that keeps up, in which we read what we wrote, and that outlives every failure."""

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes
import pytest
from kubernetes.config.incluster_config import InClusterConfigLoader

from tests.conftest import until
from tidegate.errors import ClusterUnavailable, MalformedObject
from tidegate.kube.api import CONFIG_MAPS, KubernetesApi, Manifest
from tidegate.kube.informer import Informer, Item, Kind, Store

OWNER = "tidegate.dev/model-deployment"


def seen(version: int, *, name: str = "one", uid: str = "u-1", owner: str = "", **more: Any) -> Manifest:
    labels = {"labels": {OWNER: owner}} if owner else {}
    metadata = {"namespace": "shop", "name": name, "uid": uid, "resourceVersion": str(version), **labels}
    return {"metadata": metadata, **more}


def whole(manifest: Manifest) -> Manifest:
    return manifest


def item(manifest: Manifest) -> Item[Manifest]:
    return Item.parse(manifest, whole)


def store_with(*manifests: Manifest) -> Store[Manifest]:
    store = Store[Manifest]()
    for manifest in manifests:
        store.put(item(manifest))
    return store


@pytest.mark.parametrize(
    ("held", "offered", "kept"),
    [
        pytest.param([], seen(1), seen(1), id="nothing: it is kept"),
        pytest.param([seen(1)], seen(2), seen(2), id="an older version: it is kept"),
        pytest.param([seen(3)], seen(2), seen(3), id="a newer version, which we wrote: that stays"),
        pytest.param([seen(2)], seen(9, uid="u-2"), seen(9, uid="u-2"), id="another object of that name: it is kept"),
        pytest.param([seen(9)], seen(2, uid="u-0"), seen(9), id="its successor, which we made: that stays"),
    ],
)
def test_an_object_is_offered_to_a_store_with(held: list[Manifest], offered: Manifest, kept: Manifest) -> None:
    store = store_with(*held)
    told = bool(store.put(item(offered)))

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
    ended = item(gone)

    assert bool(store.remove(ended.key, ended.uid, ended.version)) is (left == [])
    assert store.all() == left


def test_a_deletion_of_an_older_version_takes_nothing_away_that_we_wrote_since() -> None:
    store = store_with(seen(7))

    assert store.remove(("shop", "one"), "u-1", 6) == []
    assert store.all() == [seen(7)]


def test_a_whole_list_replaces_a_store_except_for_what_we_wrote_since() -> None:
    same, changed, gone, ours = seen(1), seen(2, name="changed"), seen(3, name="gone"), seen(9, name="ours")
    store = store_with(same, changed, gone, ours)
    new = seen(5, name="changed")

    assert [told.value for told in store.replace({("shop", "one"), ("shop", "changed")}, [item(new)], 5)] == [gone, new]
    assert store.get("shop", "ours") == ours
    assert {manifest["metadata"]["name"] for manifest in store.all()} == {"one", "changed", "ours"}


def owned(store: Store[Manifest], namespace: str, name: str) -> list[Manifest]:
    return [item.value for item in store.owned_by(namespace, name)]


def test_objects_are_found_by_their_owner_and_leave_with_its_label() -> None:
    mine, other = seen(1, name="a", owner="digits"), seen(2, name="b", owner="faces")
    store = store_with(mine, other, seen(3, name="nobody's"))
    assert (owned(store, "shop", "digits"), owned(store, "lab", "digits")) == ([mine], [])

    moved = seen(4, name="a", owner="faces")
    assert [told.owner for told in store.put(item(moved))] == ["digits", "faces"]
    assert (owned(store, "shop", "digits"), owned(store, "shop", "faces")) == ([], [other, moved])

    store.remove(("shop", "b"), "u-1", 5)
    assert owned(store, "shop", "faces") == [moved]


def test_a_change_of_what_is_not_kept_is_no_news() -> None:
    store = Store[str]()
    kept = [Item.parse(seen(version), lambda manifest: "same") for version in (1, 2)]

    assert [len(store.put(each)) for each in kept] == [1, 0]
    assert store.item(("shop", "one")) == kept[1]


class Scripted:
    """An API that answers lists and watches from a script; an exception in it is raised."""

    def __init__(self, *script: Any) -> None:
        self.asked: list[str] = []
        self.listed_at: list[float] = []
        self._script = list(script)
        self.done = Queue[None]()

    def list(
        self, *_: object, limit: int | None = None, continue_token: str = "", metadata_only: bool = False
    ) -> Manifest:
        self.listed_at.append(monotonic())
        self.asked.append(f"list from {continue_token}" if continue_token else "list")
        answer: Manifest = self._next()
        return answer

    def watch(
        self, _: object, __: object, ___: object, version: str, *, seconds: int, metadata_only: bool = False
    ) -> Iterator[Manifest]:
        self.asked.append(f"watch from {version}")
        for event in self._next():
            if isinstance(event, Exception):
                raise event
            yield event

    def _next(self) -> Any:
        if not self._script:
            self.done.put(None)
            Queue[None]().get()  # for ever: the thread ends with the process
        answer = self._script.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def listed(version: int, *manifests: Manifest, more: str = "") -> Manifest:
    return {"metadata": {"resourceVersion": str(version), "continue": more}, "items": list(manifests)}


def event(kind: str, manifest: Manifest) -> Manifest:
    return {"type": kind, "object": manifest}


GONE = {"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}}
EXPIRED = ClusterUnavailable("The provided continue parameter is too old", 410)
BROKEN = ClusterUnavailable("it broke")


@dataclass
class Played:
    """An informer whose script has been played to its end, and what its listener heard."""

    api: Scripted
    informer: Informer[Manifest]
    heard: list[list[Manifest]]

    @property
    def held(self) -> list[Manifest]:
        return self.informer.store.all()


def pixels(manifest: Manifest) -> Manifest:
    """Wants a whole number of pixels where there is a spec."""
    if manifest.get("spec", {}).get("pixels", 0) == "many":
        raise MalformedObject("spec.pixels: 'many' is not a whole number")
    int(manifest.get("spec", {}).get("pixels", 0))
    return manifest


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Played]:
    """Starts an informer on a script, with short pauses, and waits until all of it has been asked for."""
    monkeypatch.setattr("tidegate.kube.informer.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("tidegate.kube.informer.ROUND_SECONDS", 0.0)

    def run(*script: Any) -> Played:
        api, heard = Scripted(*script), list[list[Manifest]]()

        def changed(items: Sequence[Item[Manifest]]) -> None:
            heard.append([each.value for each in items])

        informer = Informer(api, Kind(CONFIG_MAPS, pixels), changed)  # type: ignore[arg-type]
        informer.start()
        api.done.get(timeout=10)
        assert informer.alive
        return Played(api, informer, heard)

    return run


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
            [listed(5), EXPIRED, listed(9)],
            ["list", "watch from 5", "list", "watch from 9"],
            id="a watch that is refused as too old makes it list again",
        ),
        pytest.param(
            [listed(5), [event("ADDED", seen(6))], BROKEN],
            ["list", "watch from 5", "watch from 6", "watch from 6"],
            id="a watch that breaks goes on where it was",
        ),
        pytest.param(
            [listed(5), [event("ADDED", seen(6)), BROKEN]],
            ["list", "watch from 5", "watch from 6"],
            id="a watch that breaks in its middle goes on where it was",
        ),
        pytest.param(
            [ClusterUnavailable("not yet"), listed(5)],
            ["list", "list", "watch from 5"],
            id="a list that fails is asked for again",
        ),
        pytest.param(
            [listed(5, seen(1), more="a"), listed(5, seen(2, name="two"), more="b"), listed(5)],
            ["list", "list from a", "list from b", "watch from 5"],
            id="a page each further one is asked for",
        ),
        pytest.param(
            [listed(5, seen(1), more="a"), EXPIRED, listed(7)],
            ["list", "list from a", "list", "watch from 7"],
            id="a page of a list that is too old the list starts over",
        ),
    ],
)
def test_after(script: list[Any], asked: list[str], play: Callable[..., Played]) -> None:
    assert play(*script).api.asked == asked


def test_all_pages_are_one_list(play: Callable[..., Played]) -> None:
    one, two = seen(1), seen(2, name="two")
    played = play(listed(5, one, more="a"), listed(5, two))

    assert played.held == [one, two]
    assert played.heard == [[one, two]]
    assert played.informer.complete


def test_the_first_list_is_told_even_if_there_is_nothing_in_it(play: Callable[..., Played]) -> None:
    assert play(listed(5)).heard == [[]]


def test_what_went_and_changed_while_nobody_listened_is_told_by_the_next_list(play: Callable[..., Played]) -> None:
    same, old, gone, new = seen(1), seen(2, name="two"), seen(3, name="three"), seen(6, name="two")
    played = play(listed(5, same, old, gone), [GONE], listed(9, same, new))

    assert played.heard == [[same, old, gone], [gone, new]]
    assert played.held == [same, new]


def test_a_list_that_fails_half_way_takes_nothing_away_and_nothing_in(play: Callable[..., Played]) -> None:
    one, two = seen(1), seen(2, name="two")
    played = play(listed(5, one, two), [GONE], listed(9, seen(8), more="a"), BROKEN)

    assert played.api.asked == ["list", "watch from 5", "list", "list from a", "list"]
    assert played.held == [one, two]


def test_an_event_of_an_older_version_replaces_nothing(play: Callable[..., Played]) -> None:
    newer = seen(9)
    played = play(listed(9, newer), [event("MODIFIED", seen(7)), event("DELETED", seen(8))])

    assert played.held == [newer]
    assert played.heard == [[newer]]


def test_what_we_wrote_is_read_at_once_and_outlives_the_news_from_before(play: Callable[..., Played]) -> None:
    played = play(listed(5, seen(1)))
    played.informer.put(seen(8, data={"a": "1"}))
    assert played.held == [seen(8, data={"a": "1"})]

    again = Scripted([event("MODIFIED", seen(7))])
    played.informer._api = again  # type: ignore[assignment]
    threading.Thread(target=played.informer.follow_once, daemon=True).start()
    until(lambda: again.asked)
    assert played.held == [seen(8, data={"a": "1"})]


def test_watches_that_end_at_once_are_asked_for_once_a_second() -> None:
    api = Scripted(listed(5), [], [], [])
    Informer(api, Kind(CONFIG_MAPS, whole), lambda _: None).start()  # type: ignore[arg-type]
    began = monotonic()
    api.done.get(timeout=20)

    assert api.asked == ["list", *["watch from 5"] * 4]
    assert monotonic() - began > 2.9


def test_with_every_watch_too_old_there_is_one_list_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.kube.informer.FIRST_PAUSE", 0.01)
    api = Scripted(*[answer for version in range(4) for answer in (listed(version), [GONE])])
    Informer(api, Kind(CONFIG_MAPS, whole), lambda _: None).start()  # type: ignore[arg-type]
    api.done.get(timeout=20)

    pauses = [after - before for before, after in zip(api.listed_at, api.listed_at[1:], strict=False)]
    assert len(pauses) == 4
    assert min(pauses) > 0.99


NO_SUCH_KIND = ClusterUnavailable("GET failed: not found", 404, said="the server could not find it")


@pytest.mark.parametrize("status", [404, 403], ids=["isn't there", "isn't ours to see"])
def test_a_kind_that_may_be_absent_is_looked_for_from_time_to_time_and_said_once(
    status: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.kube.informer.FIRST_PAUSE", 0.01)
    caplog.set_level(logging.INFO)
    absent = ClusterUnavailable("it was refused", status, said="no such thing")
    api = Scripted(absent, absent)
    informer = Informer(api, Kind(CONFIG_MAPS, whole, optional=True), lambda _: None)  # type: ignore[arg-type]
    informer.start()
    api.done.get(timeout=20)

    assert (informer.absent, informer.complete) == ("no such thing", False)
    assert [record.levelname for record in caplog.records if "refused" in record.message] == ["INFO"]


def test_a_kind_that_comes_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.kube.informer.FIRST_PAUSE", 0.01)
    api = Scripted(NO_SUCH_KIND, listed(5, seen(1)))
    informer = Informer(api, Kind(CONFIG_MAPS, whole, optional=True), lambda _: None)  # type: ignore[arg-type]
    informer.start()
    api.done.get(timeout=20)

    assert (informer.absent, informer.complete, informer.store.all()) == ("", True, [seen(1)])


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(OSError("no such file: token"), id="a log-in that fails"),
        pytest.param(RuntimeError("nobody thought of this"), id="an error that nobody thought of"),
        pytest.param([[]], id="an event that is no object"),
        pytest.param([{"type": "ADDED"}], id="an event without an object"),
    ],
)
def test_the_thread_goes_on_after(trouble: Any, play: Callable[..., Played], caplog: pytest.LogCaptureFixture) -> None:
    played = play(listed(5), trouble, [event("ADDED", seen(6))])

    assert played.held == [seen(6)]
    assert "configmaps can't be followed; trying again" in caplog.messages


def test_pauses_grow_while_all_fails_and_begin_anew_after_a_success(
    play: Callable[..., Played], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.kube.informer.FIRST_PAUSE", 0.1)
    play(listed(5), BROKEN, BROKEN, BROKEN, [event("BOOKMARK", seen(6)), BROKEN], BROKEN)

    told = [float(message.split()[-2]) for message in caplog.messages]
    assert told == [0.1, 0.2, 0.4, 0.1, 0.2]


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        pytest.param({"spec": {"pixels": "many"}}, "spec.pixels: 'many' is not a whole number", id="that says why"),
        pytest.param({"spec": ["a list"]}, "AttributeError: 'list' object has no attribute 'get'", id="of no shape"),
        pytest.param(
            {"spec": {"pixels": "ten"}}, "ValueError: invalid literal for int() with base 10: 'ten'", id="text"
        ),
        pytest.param({"spec": {"pixels": {}}}, None, id="of another type"),
        pytest.param({"spec": {"pixels": float("inf")}}, None, id="without bounds"),
    ],
)
def test_an_object_is_named_once_and_left_out(
    bad: Mapping[str, Any], sentence: str | None, play: Callable[..., Played], caplog: pytest.LogCaptureFixture
) -> None:
    good, late = seen(1), seen(9, name="late")
    poor = [seen(version, name="poor", **bad) for version in (3, 7, 8)]
    played = play(
        listed(5, poor[0], good), [event("MODIFIED", poor[1]), GONE], listed(8, good, poor[2]), [event("ADDED", late)]
    )

    assert played.held == [good, late]
    named = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(named) == 1
    assert named[0].startswith("ConfigMap shop/poor is skipped: " + (sentence or ""))


def test_an_object_that_is_mended_and_spoilt_again_is_named_again(
    play: Callable[..., Played], caplog: pytest.LogCaptureFixture
) -> None:
    bad: dict[str, Any] = {"spec": {"pixels": "many"}}
    play(listed(5, seen(1, **bad)), [event("MODIFIED", seen(6)), event("MODIFIED", seen(7, **bad))])

    assert [message.count("shop/one is skipped") for message in caplog.messages] == [1, 1]


def test_an_object_that_turns_bad_stays_as_it_was_until_it_goes(play: Callable[..., Played]) -> None:
    bad: dict[str, Any] = {"spec": {"pixels": "many"}}
    events = [event("MODIFIED", seen(6, **bad))]
    assert play(listed(5, seen(1)), events, [GONE], listed(9, seen(6, **bad))).held == [seen(1)]
    assert play(listed(5, seen(1)), [*events, event("DELETED", seen(8, **bad))]).held == []


@pytest.mark.parametrize("broken", [None, [], {"metadata": None}, {"metadata": {"labels": {OWNER: 7}}}])
def test_an_object_that_is_none_is_left_out(broken: Any, play: Callable[..., Played]) -> None:
    good = seen(7, name="good")

    assert play(listed(5, broken), [event("ADDED", broken), event("ADDED", good)]).held == [good]


def test_a_thread_that_ended_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    informer = Informer(Scripted(SystemExit()), Kind(CONFIG_MAPS, whole), lambda _: None)  # type: ignore[arg-type]
    assert informer.alive
    informer.start()

    assert until(lambda: not informer.alive)


class Wire:
    """An API server of plain HTTP that says, watch after watch, exactly these bytes; lists give one page an object."""

    def __init__(self, objects: Sequence[Manifest], watches: Sequence[Sequence[bytes]]) -> None:
        self.asked: list[str] = []
        self.done = threading.Event()
        watched, wire = iter(watches), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
                authorization = self.headers.get("Authorization", "")
                if "watch" not in query:
                    at = int(query.get("continue", 0))
                    wire.asked.append(f"list {query.get('limit')} from {at} as {authorization}")
                    token = str(at + 1) if at + 1 < len(objects) else ""
                    return self._say(json.dumps(listed(5, *objects[at : at + 1], more=token)).encode())
                wire.asked.append(f"watch from {query['resourceVersion']}")
                lines = next(watched, None)
                if lines is None:
                    wire.done.set()
                return self._say(*(lines or ()))

            def _say(self, *lines: bytes) -> None:
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for line in (*lines, b""):
                    self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Wire":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def pod_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[KubernetesApi, Path]]:
    """Logs in as a pod does, by a token in a file that is read anew all the time; gives the file too."""
    token, certificate = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("first")
    certificate.write_text("nobody's")

    def connect(url: str) -> tuple[KubernetesApi, Path]:
        environ = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
        loader: Any = InClusterConfigLoader(token, certificate, environ=environ)  # type: ignore[no-untyped-call]
        configuration = kubernetes.client.Configuration()
        loader.load_and_set(configuration)
        loader._token_refresh_period = timedelta()
        loader.token_expires_at = datetime.min  # noqa: DTZ901 - the client compares naive times
        loader.host, loader.ssl_ca_cert = url, None
        configuration.host, configuration.ssl_ca_cert = url, None
        monkeypatch.setattr(kubernetes.client.Configuration, "_default", configuration)
        return KubernetesApi(), token

    return connect


@pytest.fixture
def over_http(
    pod_login: Callable[[str], tuple[KubernetesApi, Path]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Wire], tuple[Informer[Manifest], Path]]]:
    """Follows what a Wire says, with short pauses."""
    monkeypatch.setattr("tidegate.kube.informer.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("tidegate.kube.informer.ROUND_SECONDS", 0.0)
    started: list[Informer[Manifest]] = []

    def follow(wire: Wire) -> tuple[Informer[Manifest], Path]:
        api, token = pod_login(wire.url)
        informer = Informer(api, Kind(CONFIG_MAPS, whole), lambda _: None)
        started.append(informer)
        informer.start()
        return informer, token

    yield follow
    for informer in started:
        informer.stop()


def line(kind: str, manifest: Manifest) -> bytes:
    return json.dumps(event(kind, manifest)).encode() + b"\n"


def test_pages_are_asked_for_by_their_limit_and_token(
    over_http: Callable[[Wire], tuple[Informer[Manifest], Path]],
) -> None:
    objects = [seen(version, name=f"n-{version}") for version in (1, 2, 3)]
    with Wire(objects, []) as wire:
        informer, _ = over_http(wire)
        assert wire.done.wait(10)

    assert wire.asked[:4] == [f"list 100 from {at} as bearer first" for at in range(3)] + ["watch from 5"]
    assert informer.store.all() == objects


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param([b"<html>502 Bad Gateway</html>\n"], id="a proxy's page"),
        pytest.param([b'{"type": "ADDED", "obj', b"\n"], id="half an event"),
        pytest.param([b"\xff\xfe\n", line("ADDED", seen(9, name="never"))], id="no text, and an event after it"),
    ],
)
def test_a_line_that_is_not_json_breaks_the_watch_which_goes_on_where_it_was(
    garbage: list[bytes], over_http: Callable[[Wire], tuple[Informer[Manifest], Path]]
) -> None:
    late = seen(7, name="late")
    with Wire([seen(1)], [[line("ADDED", seen(6, name="early")), *garbage], [line("ADDED", late)]]) as wire:
        informer, _ = over_http(wire)
        assert wire.done.wait(10)

    assert wire.asked[1:4] == ["watch from 5", "watch from 6", "watch from 7"]
    assert informer.store.all() == [seen(1), seen(6, name="early"), late]
    assert informer.alive


def test_a_token_file_that_vanishes_is_waited_for(
    over_http: Callable[[Wire], tuple[Informer[Manifest], Path]], caplog: pytest.LogCaptureFixture
) -> None:
    with Wire([seen(1)], [[] for _ in range(10_000)]) as wire:
        informer, token = over_http(wire)
        until(lambda: informer.complete)
        token.unlink()
        until(lambda: len(caplog.messages) > 2)
        assert informer.alive
        token.write_text("second")
        asked = len(wire.asked)
        until(lambda: len(wire.asked) > asked)

    assert all("for want of credentials" in message for message in caplog.messages)


@pytest.mark.apiserver
class TestAgainstARealServer:
    """A watch of one namespace's config maps."""

    @pytest.fixture
    def changes(self) -> Queue[Manifest]:
        return Queue()

    @pytest.fixture
    def watch(
        self, connect: Callable[[], KubernetesApi], namespace: str, changes: Queue[Manifest]
    ) -> Iterator[Informer[Manifest]]:
        api = connect()
        api.create(CONFIG_MAPS, config_map(namespace, "early"))

        def changed(items: Sequence[Item[Manifest]]) -> None:
            for each in items:
                changes.put(each.value)

        watch = Informer(api, Kind(CONFIG_MAPS, whole, "made-by=tests"), changed, namespace=namespace)
        assert not watch.complete
        watch.start()
        assert until(lambda: watch.complete)
        yield watch
        watch.stop()
        api.create(CONFIG_MAPS, config_map(namespace, "the-end"))  # so that the thread hears something and ends

    def test_what_was_there_is_listed(self, watch: Informer[Manifest], changes: Queue[Manifest]) -> None:
        assert changes.get(timeout=5)["metadata"]["name"] == "early"
        assert [manifest["metadata"]["name"] for manifest in watch.store.all()] == ["early"]
        assert watch.silent_seconds() < 5

    def test_changes_and_deletions_are_followed(
        self, watch: Informer[Manifest], changes: Queue[Manifest], api: KubernetesApi, namespace: str
    ) -> None:
        changes.get(timeout=5)
        api.merge(CONFIG_MAPS, namespace, "early", {"data": {"a": "1"}})
        assert changes.get(timeout=5)["data"] == {"a": "1"}
        api.delete(CONFIG_MAPS, namespace, "early")
        assert changes.get(timeout=5)["metadata"]["name"] == "early"
        assert until(lambda: watch.store.all() == [])

    def test_what_is_written_is_read_at_once_and_told_once(
        self, watch: Informer[Manifest], changes: Queue[Manifest], api: KubernetesApi, namespace: str
    ) -> None:
        changes.get(timeout=5)
        patched = api.merge(CONFIG_MAPS, namespace, "early", {"data": {"a": "1"}})
        watch.put(patched)

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


def test_versions_that_are_no_numbers_are_taken_as_they_come() -> None:
    """A server behind which there is no etcd may give anything."""

    def opaque(version: str, pixels: int) -> Manifest:
        manifest = seen(0, pixels=pixels)
        return {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": version}}

    store = store_with(opaque("b-7", 1), opaque("a-1", 2))
    assert store.all() == [opaque("a-1", 2)]
    assert [told.value for told in store.replace({("shop", "one")}, [item(opaque("c", 3))], 0)] == [opaque("c", 3)]
    assert store.remove(("shop", "one"), "u-1", 0) != []
    assert store.all() == []
