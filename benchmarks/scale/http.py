"""A client of few words, on one kept connection, that costs the measured machine as little as Python can."""

import http.client
import socket
from collections.abc import Mapping

TIMEOUT = 2.0


class Connection:
    """Asks again and again on the same connection; after an error on a new one."""

    def __init__(self, address: str, port: int, host: str) -> None:
        self._place = (address, port)
        self._request = f"GET / HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()
        self._socket: socket.socket | None = None

    def ask(self) -> Mapping[str, str] | None:
        """The answer's headers, `:status` among them; None where there was no answer."""
        try:
            return self._ask()
        except (OSError, ValueError):
            self.close()
            return None

    def close(self) -> None:
        """A later question opens another one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self) -> Mapping[str, str]:
        if self._socket is None:
            self._socket = socket.create_connection(self._place, TIMEOUT)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(self._request)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._read()
        head, _, body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        left = int(headers.get("content-length", "0")) - len(body)
        while left > 0:
            left -= len(self._read())
        return {":status": first.split()[1], **headers}

    def _read(self) -> bytes:
        found = self._socket.recv(65_536) if self._socket else b""
        if not found:
            raise ConnectionResetError
        return found


def ask(address: str, port: int, headers: Mapping[str, str], path: str = "/") -> tuple[int, bytes] | None:
    """One request on a connection of its own: status and body; None where there was no answer."""
    connection = http.client.HTTPConnection(address, port, timeout=TIMEOUT)
    try:
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
