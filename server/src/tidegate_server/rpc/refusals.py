"""What an error is called in gRPC. Pure: the same errors as over HTTP, and the same sentences."""

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

CLIENT_WENT_AWAY = 499
"""Counted for calls that ended before their answer: cancelled, or past the client's own deadline."""
_BY_HTTP_STATUS = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


@dataclass(frozen=True)
class Refusal:
    """`http` is the status that the same error has over HTTP; it's what is counted."""

    code: grpc.StatusCode
    http: int
    sentence: str
    retry_milliseconds: int | None = None


def refusal_of(error: ServerError) -> Refusal:
    match error:
        case InvalidRequest() | NotAllowed():
            code = _BY_HTTP_STATUS.get(error.status, grpc.StatusCode.INVALID_ARGUMENT)
            return Refusal(code, error.status, str(error))
        case Overloaded():
            milliseconds = error.retry_after_seconds * 1000
            return Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, 429, str(error), milliseconds)
        case DeadlinePassed():
            return Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, 504, str(error))
        case NotReady():
            return Refusal(grpc.StatusCode.UNAVAILABLE, 503, str(error))
        case ModelFailed():
            # The runtime's own words may hold paths and values; they are in the log.
            return Refusal(grpc.StatusCode.INTERNAL, 500, "the model failed on this input")
        case _:
            return Refusal(grpc.StatusCode.INTERNAL, 500, str(error))
