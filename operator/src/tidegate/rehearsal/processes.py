"""Programs on this machine's loopback: ports for them, what they answer, and their end."""

import http.client
import subprocess
from contextlib import ExitStack
from socket import socket

LOOPBACK = "127.0.0.1"
ASK_SECONDS = 2.0
STOP_SECONDS = 10.0
MOST_ANSWER_BYTES = 16 * 2**20


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [int(each.getsockname()[1]) for each in sockets]


def get(port: int, path: str, seconds: float = ASK_SECONDS) -> str | None:
    """What a process of this machine answers; None where it doesn't, or not with a 200."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=seconds)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read(MOST_ANSWER_BYTES)
        return body.decode() if response.status == http.client.OK else None
    except (OSError, http.client.HTTPException, UnicodeDecodeError):
        return None
    finally:
        connection.close()


def wait_or_kill(process: "subprocess.Popen[bytes]") -> None:
    """Until a process has ended that was asked to."""
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
