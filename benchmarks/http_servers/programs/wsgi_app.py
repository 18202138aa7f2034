"""The handler as a bare WSGI callable."""

from collections.abc import Callable, Iterable
from typing import Any

from handler import JSON, answer


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    length = environ.get("CONTENT_LENGTH")
    stream = environ["wsgi.input"]
    body = answer(stream.read(int(length)) if length else stream.read())
    start_response("200 OK", [("Content-Type", JSON), ("Content-Length", str(len(body)))])
    return [body]
