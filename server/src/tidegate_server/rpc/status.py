"""Errors as gRPC statuses. Pure: the same errors as over HTTP, and the same sentences."""

from dataclasses import dataclass

import grpc

from tidegate_server.errors import (
    DeadlinePassed,
    InvalidRequest,
    ModelFailed,
    NotAllowed,
    NotReady,
    Overloaded,
    ServerError,
)

CLIENT_CLOSED_REQUEST = 499
"""Counted for calls that ended before their answer: cancelled, or past the client's own deadline."""
_BY_HTTP_STATUS = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
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
    match error:
        case InvalidRequest() | NotAllowed():
            code = _BY_HTTP_STATUS.get(error.status, grpc.StatusCode.INVALID_ARGUMENT)
            return ErrorStatus(code, error.status, str(error))
        case Overloaded():
            milliseconds = error.retry_after_seconds * 1000
            return ErrorStatus(grpc.StatusCode.RESOURCE_EXHAUSTED, 429, str(error), milliseconds)
        case DeadlinePassed():
            return ErrorStatus(grpc.StatusCode.DEADLINE_EXCEEDED, 504, str(error))
        case NotReady():
            return ErrorStatus(grpc.StatusCode.UNAVAILABLE, 503, str(error))
        case ModelFailed():
            # The runtime's own words may hold paths and values; they are in the log.
            return ErrorStatus(grpc.StatusCode.INTERNAL, 500, "the model failed on this input")
        case _:
            return ErrorStatus(grpc.StatusCode.INTERNAL, 500, str(error))
