"""Errors as gRPC statuses. Pure: the same errors as over HTTP, and the same sentences."""

from dataclasses import dataclass

import grpc

from tidegate_server.errors import ModelFailed, Overloaded, RequestError, ServerError

CLIENT_CLOSED_REQUEST = 499
"""Counted for calls that ended before their response: cancelled, or past the client's own deadline."""
_CODES = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


@dataclass(frozen=True)
class ErrorStatus:
    """A status with its message. `http`: the status that the same error has over HTTP, which is what is counted."""

    code: grpc.StatusCode
    http: int
    sentence: str
    retry_milliseconds: int | None = None


def status_of(error: ServerError) -> ErrorStatus:
    """INTERNAL for errors that a client can do nothing about."""
    # The runtime's own words may hold paths and values; they are in the log.
    sentence = "the model failed on this input" if isinstance(error, ModelFailed) else str(error)
    http = error.status if isinstance(error, RequestError) else 500
    retry_milliseconds = error.retry_after_seconds * 1000 if isinstance(error, Overloaded) else None
    return ErrorStatus(_CODES.get(http, grpc.StatusCode.INVALID_ARGUMENT), http, sentence, retry_milliseconds)
