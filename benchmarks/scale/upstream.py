"""All pods of all models at once: an Envoy that answers at every loopback address and says at which it was asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.envoy import plain_envoy

ASKED_AT = "x-asked-at"
"""The header of each answer: the address that was asked."""


@contextmanager
def upstream(folder: Path) -> Iterator[int]:
    """Its port, on every address of 127.0.0.0/8."""
    said = {"header": {"key": ASKED_AT, "value": "%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%"}}
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "{}"}}}
    does = {"routes": [answer], "response_headers_to_add": [said]}
    with plain_envoy(folder, "upstream", does, address="0.0.0.0") as envoy:
        yield envoy.port
