"""Reads a request's body within a size and a time, whether its length is declared or it comes in chunks."""

from time import monotonic
from typing import Protocol

from tidegate_server.errors import InvalidRequest

_PIECE = 2**16


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def read_body(stream: Readable, declared: int | None, *, limit: int, until: float) -> bytes:
    """All of it. `until` is monotonic. Raises InvalidRequest: 413 above `limit` bytes, 408 too late, 400 cut off."""
    if declared is not None and declared > limit:
        raise _too_large(limit)
    body = bytearray()
    # A timeout of the socket itself shows up as an OSError: too slow, or gone. Either way nobody reads the answer.
    try:
        while piece := stream.read(_PIECE):
            body += piece
            if len(body) > limit:
                raise _too_large(limit)
            if monotonic() > until:
                raise InvalidRequest("the body took too long to arrive", 408)
    except OSError:
        raise InvalidRequest("the body didn't arrive completely", 408) from None
    except InvalidRequest:
        raise
    except Exception:  # noqa: BLE001 - whatever the HTTP layer says about malformed chunks, the client sent them
        raise InvalidRequest("the body's chunks are malformed") from None
    if declared is not None and len(body) != declared:
        raise InvalidRequest("the body is shorter than its content-length")
    return bytes(body)


def _too_large(limit: int) -> InvalidRequest:
    return InvalidRequest(f"the body is larger than {limit} bytes", 413)
