"""Questions and answers over real sockets: to a router's agent, and to somebody who isn't one."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.conftest import free_port, until
from tidegate.errors import MetricsUnavailable, NotEvidence
from tidegate.metrics.providers import router_client
from tidegate.metrics.providers.router_client import READ, HeldKey, HttpRouterClient
from tidegate.metrics.providers.router_samples import RouterPod
from tidegate.resources.sampling import KEY_ENTRY, SamplesRequest, answer_body, read_request, sign_answer
from tidegate.resources.sampling import SamplesAnswer as Answer
from tidegate.router.envoy_counters import Reading
from tidegate.router.key_file import KeyFile
from tidegate.router.sampling_server import SamplingServer

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
CLUSTERS = ("shop/digits/digits-1",)


class Counters:
    """An Envoy that has counted seven."""

    def read(self, clusters: Sequence[str]) -> Reading:
        lines = (f'envoy_cluster_upstream_rq_completed{{envoy_cluster_name="{each}"}} 7\n' for each in clusters)
        return Reading(5.0, 65.0, "".join(lines))

    def close(self) -> None:
        """Nothing is open."""


class Healthy:
    """An agent that is well."""

    def report(self) -> str:
        return "ok"

    def is_healthy(self) -> bool:
        return True


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[RouterPod]:
    """A router's agent that has the key."""
    (tmp_path / KEY_ENTRY).write_bytes(KEY)
    server = SamplingServer(0, Healthy(), "tidegate/router-a", KeyFile(tmp_path / KEY_ENTRY), Counters())
    server.start()
    yield RouterPod("tidegate", "router-a", f"127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()


def client(key: bytes | None = KEY, doubted: Callable[[], None] = lambda: None) -> HttpRouterClient:
    return HttpRouterClient(lambda: key, doubted)


def test_a_router_answers_whoever_has_the_key(agent: RouterPod) -> None:
    asking = client()

    for _ in range(2):  # the second over the same connection
        answer = asking.ask(agent, CLUSTERS)
        assert answer.metrics == 'envoy_cluster_upstream_rq_completed{envoy_cluster_name="shop/digits/digits-1"} 7\n'
        assert (answer.started, answer.time) == (5.0, 65.0)


def test_a_key_that_a_router_does_not_take_is_doubted(agent: RouterPod) -> None:
    doubts: list[bool] = []

    with pytest.raises(MetricsUnavailable, match=r"it doesn't take the operator's key \(HTTP 401\)"):
        client(OTHER_KEY, lambda: doubts.append(True)).ask(agent, CLUSTERS)
    assert doubts == [True]


def test_another_router_at_the_address_does_not_answer(agent: RouterPod) -> None:
    with pytest.raises(MetricsUnavailable, match="doesn't take the operator's key"):
        client().ask(agent._replace(name="router-b"), CLUSTERS)


def test_without_a_key_nobody_is_asked() -> None:
    with pytest.raises(MetricsUnavailable, match="has no key"):
        client(None).ask(RouterPod("tidegate", "router-a", "127.0.0.1:1"), CLUSTERS)


def test_nobody_at_the_address_is_said() -> None:
    pod = RouterPod("tidegate", "router-a", f"127.0.0.1:{free_port()}")
    with pytest.raises(
        MetricsUnavailable, match=rf"it can't be asked at {pod.address} \(ConnectionError\); check that no"
    ):
        client().ask(pod, CLUSTERS)


@pytest.fixture
def impostor() -> Iterator[Callable[[Callable[[bytes], bytes], float], RouterPod]]:
    """Somebody who answers one question with any bytes, a piece each so many seconds."""
    listeners: list[socket.socket] = []

    def listen(answer: Callable[[bytes], bytes], pause: float = 0.0) -> RouterPod:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=_serve_one, args=(listener, answer, pause), daemon=True).start()
        return RouterPod("tidegate", "router-a", f"127.0.0.1:{listener.getsockname()[1]}")

    yield listen
    for listener in listeners:
        listener.close()


def _serve_one(listener: socket.socket, answer: Callable[[bytes], bytes], pause: float) -> None:
    connection, _ = listener.accept()
    with connection:
        _, _, body = _read(connection).partition(b"\r\n\r\n")
        told = answer(body)
        for first in range(0, len(told), 64 if pause else len(told)):
            try:
                connection.sendall(told[first : first + (64 if pause else len(told))])
            except OSError:
                return
            time.sleep(pause)


def _read(connection: socket.socket) -> bytes:
    read = b""
    while not (read.endswith(b"}") and b"\r\n\r\n" in read):
        read += connection.recv(65536)
    return read


def response(body: bytes, key: bytes = KEY, *, length: int | None = None) -> bytes:
    length = len(body) if length is None else length
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nTidegate-Signature: {sign_answer(key, body)}\r\n\r\n"
    return head.encode() + body


def answered(asked: bytes, **changed: str) -> bytes:
    request: SamplesRequest = read_request(asked)
    told = {"nonce": request.nonce, "router": "tidegate/router-a", **changed}
    return answer_body(Answer(started=5.0, time=65.0, metrics="", **told))


Listen = Callable[..., RouterPod]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param(lambda asked: response(answered(asked), OTHER_KEY), "isn't signed", id="signed by somebody else"),
        pytest.param(
            lambda asked: response(answered(asked, nonce="0" * 32)), "to another request", id="recorded before"
        ),
        pytest.param(
            lambda asked: response(answered(asked, router="tidegate/router-b")), "of router", id="of another router"
        ),
        pytest.param(
            lambda asked: response(answered(asked).replace(b'"version":1', b'"version":2')),
            "in version 2, not in 1",
            id="of another version",
        ),
    ],
)
def test_an_answer_is_no_evidence(impostor: Listen, answer: Callable[[bytes], bytes], why: str) -> None:
    with pytest.raises(NotEvidence, match=why):
        client().ask(impostor(answer), CLUSTERS)


def test_an_answer_that_is_cut_is_none(impostor: Listen) -> None:
    with pytest.raises(MetricsUnavailable, match="it can't be asked"):
        client().ask(impostor(lambda asked: response(answered(asked), length=10_000)), CLUSTERS)


def test_an_answer_that_comes_in_drops_is_given_up(impostor: Listen) -> None:
    began = time.monotonic()

    with pytest.raises(NotEvidence, match="takes too long"):
        client().ask(impostor(lambda asked: response(answered(asked) + b" " * 4096), 0.05), CLUSTERS)
    assert time.monotonic() - began < 2 * READ


def test_the_key_is_looked_at_only_while_somebody_asks_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router_client, "KEY_SECONDS", 0.01)
    reads: list[float] = []

    def read() -> bytes:
        reads.append(time.monotonic())
        return KEY

    held = HeldKey(read)
    until(lambda: held() == KEY)
    until(lambda: not held._wanted.is_set())
    time.sleep(0.3)
    after_the_last_question = len(reads)
    time.sleep(0.2)

    assert len(reads) == after_the_last_question
    held()
    until(lambda: len(reads) > after_the_last_question)
