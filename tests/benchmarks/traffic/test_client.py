"""The load against a server that behaves as it is told."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from time import sleep
from typing import Any

from benchmarks.traffic.client import Orders
from benchmarks.traffic.counts import KEPT, NEW, Counts
from benchmarks.traffic.long_requests import under_way

GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy"


class Server(ThreadingTCPServer):
    """Answers 200, but the n-th requests that are named with what is said: an answer, or nothing and an end."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, otherwise: dict[int, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.otherwise, self.seen, self.connections = otherwise, 0, 0
        self.lock = threading.Lock()


class Handler(StreamRequestHandler):
    """One connection."""

    server: Server

    def handle(self) -> None:
        with self.server.lock:
            self.server.connections += 1
        while (head := self._head()) and (answer := self._answer(head)):
            self.wfile.write(answer)
            if b"close" in head:
                return

    def _answer(self, head: bytes) -> bytes:
        length = next(int(line.split(b":")[1]) for line in head.splitlines() if line.startswith(b"Content-Length"))
        self.rfile.read(length)
        with self.server.lock:
            self.server.seen += 1
            return self.server.otherwise.get(self.server.seen, GOOD)

    def _head(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()).strip():
            lines.append(line)
        return b"".join(lines)


@contextmanager
def serving(otherwise: dict[int, bytes] | None = None) -> Iterator[Server]:
    with Server(otherwise or {}) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def loaded(server: Server, folder: Path, kept: float, new: float, seconds: float) -> dict[str, Any]:
    body = folder / "body.json"
    body.write_text("{}")
    orders = Orders("127.0.0.1", server.server_address[1], "digits.shop", "/predict", str(body), kept, new, timeout=5)
    command = [sys.executable, "-m", "benchmarks.traffic.client", orders.text]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        deadline = 100
        while server.seen == 0 and deadline:
            sleep(0.1)
            deadline -= 1
        sleep(seconds)
        said, _ = process.communicate()
    found: dict[str, Any] = json.loads(said)
    return found


def test_kept_connections_are_few_and_each_new_one_is_a_connection(tmp_path: Path) -> None:
    with serving() as server:
        found = loaded(server, tmp_path, kept=40, new=20, seconds=1)
    kept, new = (Counts.from_dict(found[kind]) for kind in (KEPT, NEW))

    assert (kept.lost, new.lost) == (0, 0)
    assert kept.sent > 1.5 * new.sent > 0
    assert server.connections < new.sent + kept.sent


def test_a_lost_request_is_tried_once_more_and_told_why(tmp_path: Path) -> None:
    with serving({5: b"", 10: BUSY}) as server:
        found = loaded(server, tmp_path, kept=0, new=20, seconds=1)
    new = Counts.from_dict(found[NEW])

    assert (new.lost, new.lost_with_retry) == (2, 0)
    assert new.faults == {"reset": 1, "503 of the router": 1}
    assert [each["text"] for each in found[NEW]["examples"] if each["fault"] != "reset"] == ["busy"]


def test_a_request_that_takes_its_time_is_answered() -> None:
    with serving() as server, under_way(f"http://127.0.0.1:{server.server_address[1]}", "a", 0.6, [1, 2, 3]) as found:
        sleep(0.7)

    assert found.counts.sent >= 1
    assert found.counts.lost == 0
    assert min(found.counts.latency) > 50
