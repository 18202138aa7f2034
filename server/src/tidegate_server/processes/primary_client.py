"""A worker's clients may ask for the server's statistics; the primary process has the numbers of all."""

from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

import orjson

TIMEOUT_SECONDS = 2.0
PATH = "/v2/models/stats"


@dataclass(frozen=True)
class PrimaryClient:
    """Of the primary process' admin port. `host` is what it listens on."""

    host: str
    port: int

    def statistics(self) -> dict[str, Any]:
        """The protocol's statistics of all processes together. Raises OSError when the primary doesn't respond."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        connection = HTTPConnection(host, self.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("GET", PATH)
            document: dict[str, Any] = orjson.loads(connection.getresponse().read())
        finally:
            connection.close()
        return document
