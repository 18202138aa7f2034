"""A worker's clients may ask for the server's statistics; the primary process has the numbers of all."""

from http.client import HTTPConnection
from typing import Any

import orjson

TIMEOUT_SECONDS = 2.0
PATH = "/v2/models/stats"


def primary_statistics(host: str, port: int) -> dict[str, Any]:
    """The protocol's statistics of all processes together. Raises OSError when the primary doesn't respond.

    `host` and `port` are those that the primary's admin port listens on.
    """
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    connection = HTTPConnection(reachable, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", PATH)
        document: dict[str, Any] = orjson.loads(connection.getresponse().read())
    finally:
        connection.close()
    return document
