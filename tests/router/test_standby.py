"""Who takes the connections of a port: Envoy's sockets while there are any, else the one that stands by."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from benchmarks.programs import free_ports
from tests.router.conftest import until
from tidegate.router.standby import Standby, listening

ENVOY_SOCKETS = 2
PATIENCE = 5.0


@pytest.fixture
def port() -> int:
    (port,) = free_ports(1)
    return port


@contextlib.contextmanager
def envoy(port: int) -> Iterator[list[socket.socket]]:
    """Sockets as Envoy has them: one for each of its workers."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(ENVOY_SOCKETS)]
        for one in sockets:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.bind(("127.0.0.1", port))
            one.listen(500)
            one.setblocking(False)
        yield sockets


def connected(stack: contextlib.ExitStack, port: int, number: int) -> None:
    for _ in range(number):
        stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))


def taken(sockets: list[socket.socket]) -> list[int]:
    """How many connections wait at each; they are ended."""
    found = []
    for one in sockets:
        number = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                one.accept()[0].close()
                number += 1
        found.append(number)
    return found


def test_whoever_stands_by_gets_what_nobody_else_is_there_for(port: int) -> None:
    with listening("127.0.0.1", port, ENVOY_SOCKETS) as standby, contextlib.ExitStack() as clients:
        standby.setblocking(False)
        connected(clients, port, 20)
        assert taken([standby]) == [20]
        with envoy(port) as sockets:
            connected(clients, port, 60)
            none, *some = taken([standby, *sockets])
            assert (none, sum(some)) == (0, 60)
            assert min(some) > 10
        connected(clients, port, 20)
        assert taken([standby]) == [20]
        with envoy(port) as sockets:
            connected(clients, port, 20)
            assert (taken([standby]), sum(taken(sockets))) == ([0], 20)


def test_two_routers_of_one_address_still_collide_with_whoever_does_not_share(port: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(OSError, match="in use"):
            listening("127.0.0.1", port, ENVOY_SOCKETS)


def echo(sockets: list[socket.socket], stopped: Callable[[], bool]) -> None:
    """Envoy: answers what it gets on one connection in capitals, and ends it."""
    while not stopped():
        for one in sockets:
            with contextlib.suppress(BlockingIOError):
                connection = one.accept()[0]
                connection.setblocking(True)
                connection.sendall(connection.recv(100).upper())
                connection.close()


def test_a_connection_that_waited_is_passed_on_to_the_next_envoy(port: int) -> None:
    asked, ready = threading.Event(), threading.Event()

    def is_ready() -> bool:
        asked.set()
        return ready.is_set()

    standby = Standby(listening("127.0.0.1", port, ENVOY_SOCKETS), is_ready)
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.sendall(b"a request")
        until(asked.is_set, "somebody has asked for Envoy")
        with envoy(port) as sockets:
            stopped = threading.Event()
            answering = threading.Thread(target=echo, args=(sockets, stopped.is_set))
            answering.start()
            ready.set()
            try:
                assert client.recv(100) == b"A REQUEST"
                assert client.recv(100) == b""
            finally:
                stopped.set()
                answering.join()
                standby.close()
