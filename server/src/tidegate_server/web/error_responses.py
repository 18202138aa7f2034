"""What a client reads of an error: status and sentence. Never an exception's own words. Pure."""

from tidegate_server.access.authenticator import CHALLENGE
from tidegate_server.errors import (
    DeadlinePassed,
    InvalidRequest,
    ModelFailed,
    NotAllowed,
    NotFiniteOutput,
    NotReady,
    Overloaded,
)
from tidegate_server.web.message import Response, error_response


def response_for(error: BaseException) -> Response:
    """Every error of a request, and 500 for what nobody foresaw."""
    match error:
        case NotAllowed(status=401):
            return error_response(401, str(error), (("www-authenticate", CHALLENGE),))
        case InvalidRequest() | NotAllowed():
            return error_response(error.status, str(error))
        case Overloaded():
            return error_response(429, str(error), (("retry-after", str(error.retry_after_seconds)),))
        case NotReady():
            return error_response(503, str(error), (("retry-after", "1"),))
        case DeadlinePassed():
            return error_response(504, str(error))
        case NotFiniteOutput():
            return error_response(500, str(error))
        case ModelFailed():
            return error_response(500, "the model failed on this input")
        case _:
            return error_response(500, "the server failed on this request")
