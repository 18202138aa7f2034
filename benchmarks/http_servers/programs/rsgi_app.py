"""The handler as a bare RSGI callable, granian's own interface."""

from typing import Any

from handler import JSON, answer


async def app(scope: Any, protocol: Any) -> None:
    body = answer(await protocol())
    protocol.response_bytes(200, [("content-type", JSON), ("content-length", str(len(body)))], body)
