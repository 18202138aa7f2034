"""A real Envoy and its agent over the socket: killed, cold, refused, counted."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import grpc
import pytest

from tests.conftest import until
from tests.router.conftest import LIVE_OLD, NEW, OLD
from tidegate.router import xds_pb2 as pb
from tidegate.router.ads import METHOD, AdsServer, Stream
from tidegate.router.disk_copy import FILE
from tidegate.router.objects import Endpoint, Service

if TYPE_CHECKING:
    from tests.router.conftest import Bench, Router

pytestmark = pytest.mark.router

SENT = "envoy_cluster_upstream_cx_rx_bytes_total"
LONG_SECONDS = 60.0
SAYS_HELLO = 330
"""Bytes that a stream takes without a resource: 289 to 304, as HTTP/2 adds some at times. A resource is 100 more."""


def received(router: Router) -> float:
    """Bytes that Envoy has from its agent."""
    return router.count(SENT, "tidegate-agent") or 0.0


def test_an_agent_that_is_killed_under_load_costs_no_request_and_sends_nothing_again(
    served: Router, bench: Bench
) -> None:
    load = bench.load(served.port)
    load.start(clients=4, pause_seconds=0.005)
    version = served.cluster.version
    before = received(served)
    for _ in range(3):
        served.restart_agent()
        assert served.agent.has(version)
    assert received(served) - before < 3 * SAYS_HELLO
    split = [bench.route((OLD, 50), (NEW, 50))]
    endpoints = {service: found.endpoints for service, found in served.cluster.services.items()}
    assert served.publish(split, endpoints)
    bench.until(lambda: load.outcomes.total() > 100, "a hundred requests", 30)

    assert set(load.stop()) == {"200"}


def test_what_is_asked_for_while_the_agent_is_away_comes_when_it_is_back(served: Router, bench: Bench) -> None:
    endpoints = {service: found.endpoints for service, found in served.cluster.services.items()}
    served.agent.stop()
    version = served.cluster.put([bench.route((OLD, 0), (NEW, 100))], endpoints)
    assert served.get().headers["x-tidegate-served-by"] == OLD

    served.restart_agent()
    assert served.agent.has(version)
    assert served.get().headers["x-tidegate-served-by"] == NEW


def test_a_router_starts_from_its_disk_while_the_api_server_is_away(served: Router, bench: Bench) -> None:
    endpoints = {service: found.endpoints for service, found in served.cluster.services.items()}
    assert served.publish([bench.route((OLD, 0), (NEW, 100))], endpoints)
    bench.until(lambda: f'["{NEW}",100]' in (served.directory / FILE).read_text(), "it is on the disk")
    served.stop_envoy()
    served.restart_agent(knows_cluster=False)
    served.start_envoy()
    bench.until(served.admin.is_ready, "Envoy is ready")

    answer = served.get()
    assert (answer.status, answer.headers["x-tidegate-served-by"]) == (200, NEW)


def test_an_envoy_whose_agent_is_away_waits_and_is_not_ready(bench: Bench) -> None:
    router = bench.router()
    router.agent.stop()
    router.start_envoy()
    bench.until(lambda: bench.ask(router.admin_port, "GET", "/ready", {}).status == 503, "it answers")
    time.sleep(0.5)
    assert not router.admin.is_ready()

    router.restart_agent()
    router.put([bench.route((OLD, 100))], bench.endpoints(bench.server(OLD)))
    bench.until(router.admin.is_ready, "Envoy is ready")
    assert router.get().status == 200


def test_a_route_that_names_another_ones_revision_keeps_nobody_from_new_clusters(served: Router, bench: Bench) -> None:
    endpoints = {service: found.endpoints for service, found in served.cluster.services.items()}
    sentiment, copy = bench.route((OLD, 50), (NEW, 50)), bench.route((OLD, 100), name="copy")
    digits = bench.server("digits-00000001", "127.0.0.4")
    known = {**endpoints, **bench.endpoints(digits)}

    assert served.publish([sentiment, copy], known)
    assert served.get(host="copy.shop").headers["x-tidegate-served-by"] == OLD
    assert served.publish([sentiment, copy, bench.route(("digits-00000001", 100), name="digits")], known)
    assert served.get(host="digits.shop").status == 200


def test_a_rejected_resource_leaves_its_split_and_all_other_models_alone(served: Router, bench: Bench) -> None:
    endpoints = {service: found.endpoints for service, found in served.cluster.services.items()}
    digits = bench.server("digits-00000001", "127.0.0.4")
    nonsense = {Service("shop", "fraud-00000001"): (Endpoint("nonsense", 80),)}
    known = {**endpoints, **bench.endpoints(digits), **nonsense}
    bad = replace(bench.route((OLD, 50), (NEW, 50)), preview_header="bad\nheader")
    others = [bench.route(("digits-00000001", 100), name="digits"), bench.route(("fraud-00000001", 100), name="fraud")]

    assert served.publish([bad, *others], known)
    assert served.agent.applied.refused.keys() == {("shop", "sentiment"), ("shop", "fraud")}
    assert "nonsense" in served.agent.applied.refused["shop", "fraud"]
    assert "header" in served.agent.applied.refused["shop", "sentiment"]
    assert served.get(host="digits.shop").status == 200
    assert served.get(x_tidegate_revision=NEW).headers["x-tidegate-served-by"] == NEW

    assert served.publish([bench.route((OLD, 0), (NEW, 100)), others[0]], known)
    assert served.agent.applied.refused == {}
    assert served.get().headers["x-tidegate-served-by"] == NEW


def test_counts_of_a_revision_outlive_any_change_of_its_pods(bench: Bench) -> None:
    failing, other = bench.server(OLD, "127.0.0.2", behaviour="fail"), bench.server(OLD, "127.0.0.3")
    names = [f"model-{number}" for number in range(40)]
    many = [bench.route((f"{name}-a", 50), (f"{name}-b", 50), name=name) for name in names]
    routes = [bench.route((OLD, 100)), *many]
    router = bench.router()
    router.start(routes, bench.endpoints(failing))
    assert router.get().status == 500
    assert router.get(x_tidegate_revision=OLD).status == 500
    for _ in range(3):
        router.put(routes, bench.endpoints(other))
        bench.until(lambda: router.get().status == 200, "the new pod answers")
        router.put(routes, {})
        bench.until(lambda: router.get().status == 503, "there is no pod")

    assert (router.count("envoy_cluster_upstream_rq_xx", LIVE_OLD, envoy_response_code_class="5") or 0) >= 4
    assert router.count("envoy_cluster_upstream_rq_xx", f"{LIVE_OLD}/preview", envoy_response_code_class="5") == 1


def test_envoy_watches_no_file(served: Router) -> None:
    assert not any("inotify" in target for target in _open_files(served.pid))


def _open_files(pid: int) -> Iterator[str]:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        # A connection may end while we look.
        with contextlib.suppress(FileNotFoundError):
            yield str(link.readlink())


def test_workers_draw_by_a_split_when_it_is_said_to_be_taken(served: Router, bench: Bench) -> None:
    """Envoy says so when its workers have been told; one that is busy may draw by the old one for a moment still."""
    endpoints = {service: found.endpoints for service, found in served.cluster.services.items()}
    late = 0
    for turn in range(60):
        expected = (OLD, NEW)[turn % 2]
        assert served.publish([bench.route((OLD, 100 * (expected == OLD)), (NEW, 100 * (expected == NEW)))], endpoints)
        late += served.get().headers["x-tidegate-served-by"] != expected
    assert late <= 3


PREFACE, SETTINGS, PING, PINGS = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 4, 6, 10


@dataclass
class Listening:
    """A server that gives each request back as a response. `over`: how many streams have ended."""

    path: Path
    over: int = 0

    def hear(self, stream: Stream, request: pb.DeltaDiscoveryRequest | None) -> None:
        if request is None:
            self.over += 1
        else:
            stream.send(pb.DeltaDiscoveryResponse(nonce=request.response_nonce))


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Listening]:
    """In a thread of its own."""
    found = Listening(tmp_path / "ads.sock")
    server, is_over = AdsServer(found.path, found.hear), threading.Event()
    server.start()

    def serve() -> None:
        while not is_over.is_set():
            server.wait(LONG_SECONDS)

    thread = threading.Thread(target=serve)
    thread.start()
    yield found
    is_over.set()
    server.wake()
    thread.join()
    server.stop()


def test_an_envoy_that_asks_whether_its_agent_lives_while_nothing_changes_keeps_its_stream(
    listening: Listening,
) -> None:
    answered = 0
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as envoy:
        envoy.settimeout(5)
        envoy.connect(str(listening.path))
        envoy.sendall(PREFACE + a_frame(SETTINGS))
        with envoy.makefile("rb") as frames, contextlib.suppress(BrokenPipeError):
            for _ in range(PINGS):
                envoy.sendall(a_frame(PING, b"alive?!?"))
                answered += PING in iter(lambda: kind_of_next(frames), None)

    assert answered == PINGS


def test_who_speaks_no_http2_is_hung_up_on_and_keeps_nobody_out(listening: Listening) -> None:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as stranger, stranger.makefile("rb") as answer:
        stranger.settimeout(5)
        stranger.connect(str(listening.path))
        stranger.sendall(b"GET / HTTP/1.1\r\nHost: agent\r\n\r\n")
        answer.read()

    assert echoed(listening, ["heard"]) == ["heard"]


def test_messages_larger_than_what_http2_sends_at_once_arrive_whole_both_ways(listening: Listening) -> None:
    sent = ["a" * 3_000_000, "b", "c" * 70_000]

    assert echoed(listening, sent) == sent
    until(lambda: listening.over == 1)


def test_another_method_is_told_that_there_is_none(listening: Listening) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        echoed(listening, ["anybody?"], method="/envoy.service.discovery.v3.AggregatedDiscoveryService/Streamed")

    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def echoed(listening: Listening, texts: Sequence[str], method: str = METHOD.decode()) -> list[str]:
    """What comes back, by gRPC's own client."""
    with grpc.insecure_channel(f"unix:{listening.path}") as channel:
        call = channel.stream_stream(
            method, pb.DeltaDiscoveryRequest.SerializeToString, pb.DeltaDiscoveryResponse.FromString
        )
        answers = call((pb.DeltaDiscoveryRequest(response_nonce=text) for text in texts), timeout=10)
        return [answer.nonce for answer in answers]


def kind_of_next(frames: BinaryIO) -> int | None:
    """The kind of the next frame of HTTP/2; None after the last."""
    head = frames.read(9)
    frames.read(int.from_bytes(head[:3]))
    return head[3] if head else None


def a_frame(kind: int, content: bytes = b"") -> bytes:
    """A frame of HTTP/2 on the connection's own stream: length, kind, no flags, stream 0."""
    return len(content).to_bytes(3) + struct.pack(">BBI", kind, 0, 0) + content
