"""A client that sends when it is time, whatever is still unanswered: `python -m` this module, from `testbed`.

When an answer came is told by the kernel, so that it doesn't matter when this process gets to read it.
"""

import gc
import json
import random
import select
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from benchmarks.errors import BenchmarkError

SO_TIMESTAMPNS = 35
"""Of Linux; Python has no name for it."""
TIMES = struct.Struct("qq")
FIRST_CONNECTIONS = 32
LAST_ANSWERS_SECONDS = 2.0


@dataclass(frozen=True)
class Plan:
    """`rate` requests a second to each of the ports, at random times, for `models` models in turn."""

    ports: tuple[int, ...]
    models: int
    rate: float
    warm_up_seconds: float
    seconds: float


@dataclass
class Outcome:
    """Microseconds: by port, in the order of the plan, from sending to the answer; and `late` in sending."""

    took: list[list[float]]
    late: list[float] = field(default_factory=list)
    failed: int = 0
    """Answers other than 200, and requests without one."""


@dataclass
class _Connection:
    socket: socket.socket
    port: int
    """Its number in the plan."""
    sent_at: int = 0
    counts: bool = False
    answer: bytes = b""


class OpenLoop:
    """One thread; connections are kept, and opened where none is idle."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._requests = [
            f"GET / HTTP/1.1\r\nHost: model-{number:04d}.shop\r\n\r\n".encode() for number in range(plan.models)
        ]
        self._poll = select.epoll()
        self._open: dict[int, _Connection] = {}
        self._idle: list[deque[_Connection]] = [deque() for _ in plan.ports]
        self._outcome = Outcome([[] for _ in plan.ports])

    def run(self) -> Outcome:
        """Sends, and waits for the last answers."""
        for port in range(len(self._plan.ports)):
            self._idle[port].extend(self._connect(port) for _ in range(FIRST_CONNECTIONS))
        for due, port, counts in self._schedule(time.time_ns()):
            self._sleep_until(due)
            self._send(port, due, counts=counts)
        self._read_all(LAST_ANSWERS_SECONDS)
        unanswered = sum(1 for one in self._open.values() if one.sent_at and one.counts)
        self._outcome.failed += unanswered
        for one in self._open.values():
            one.socket.close()
        self._poll.close()
        return self._outcome

    def _schedule(self, begin: int) -> Sequence[tuple[int, int, bool]]:
        """When, where to, and whether it counts, in the order of time."""
        plan, found = self._plan, []
        for port in range(len(plan.ports)):
            at = random.expovariate(plan.rate)
            while at < plan.warm_up_seconds + plan.seconds:
                found.append((begin + int(at * 1e9), port, at >= plan.warm_up_seconds))
                at += random.expovariate(plan.rate)
        return sorted(found)

    def _sleep_until(self, due: int) -> None:
        while (left := due - time.time_ns()) > 0:
            time.sleep(left / 1e9)
            self._read(0)

    def _send(self, port: int, due: int, *, counts: bool) -> None:
        idle = self._idle[port]
        if not idle:
            self._read(0)
        connection = idle.popleft() if idle else self._connect(port)
        request = random.choice(self._requests)
        connection.counts = counts
        connection.sent_at = time.time_ns()
        connection.socket.send(request)
        if counts:
            self._outcome.late.append((connection.sent_at - due) / 1e3)

    def _read_all(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and any(one.sent_at for one in self._open.values()):
            self._read(0.01)

    def _read(self, seconds: float) -> None:
        for number, _ in self._poll.poll(seconds):
            self._take(self._open[number])

    def _take(self, connection: _Connection) -> None:
        data, told, _, _ = connection.socket.recvmsg(65536, 128)
        connection.answer += data
        if data and not is_complete(connection.answer):
            return
        if connection.counts:
            self._count(connection, arrived(told))
        connection.answer, connection.sent_at = b"", 0
        if data:
            self._idle[connection.port].append(connection)
        else:
            self._close(connection)

    def _count(self, connection: _Connection, at: int) -> None:
        if connection.answer.startswith(b"HTTP/1.1 200 "):
            self._outcome.took[connection.port].append((at - connection.sent_at) / 1e3)
        else:
            self._outcome.failed += 1

    def _connect(self, port: int) -> _Connection:
        made = socket.create_connection(("127.0.0.1", self._plan.ports[port]))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._poll.register(made, select.EPOLLIN)
        self._open[made.fileno()] = connection = _Connection(made, port)
        return connection

    def _close(self, connection: _Connection) -> None:
        del self._open[connection.socket.fileno()]
        if connection in self._idle[connection.port]:
            self._idle[connection.port].remove(connection)
        connection.socket.close()


def is_complete(answer: bytes) -> bool:
    """Whether all of an answer is there. Every answer here says how long it is."""
    head, ended, body = answer.partition(b"\r\n\r\n")
    length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
    return bool(ended) and len(body) >= int(length.partition(b":")[2])


def arrived(told: Sequence[tuple[int, int, bytes]]) -> int:
    """When the last of it arrived, in nanoseconds since 1970. Raises BenchmarkError where the kernel doesn't say."""
    for level, kind, data in told:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = TIMES.unpack(data[: TIMES.size])
            return int(seconds * 1_000_000_000 + nanoseconds)
    raise BenchmarkError("this kernel doesn't say when data arrived (SO_TIMESTAMPNS)")


def main() -> None:
    """The plan comes as JSON, and the outcome goes so."""
    plan = json.loads(sys.argv[1])
    gc.disable()
    outcome = OpenLoop(Plan(**{**plan, "ports": tuple(plan["ports"])})).run()
    json.dump(asdict(outcome), sys.stdout)


if __name__ == "__main__":
    main()
