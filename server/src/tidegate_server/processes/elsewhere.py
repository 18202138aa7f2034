"""A sibling's clients may ask for the server's statistics; the first process has the numbers of all."""

from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

import orjson

SECONDS = 2.0
PATH = "/v2/models/stats"


@dataclass(frozen=True)
class StatisticsOf:
    """Asks the first process on its admin port. Raises OSError when it doesn't answer."""

    host: str
    port: int

    def __call__(self) -> dict[str, Any]:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        connection = HTTPConnection(host, self.port, timeout=SECONDS)
        try:
            connection.request("GET", PATH)
            document: dict[str, Any] = orjson.loads(connection.getresponse().read())
        finally:
            connection.close()
        return document
