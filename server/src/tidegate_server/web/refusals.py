"""What a client is told of an error: status and sentence. Never an exception's own words. Pure."""

from tidegate_server.access.guard import CHALLENGE
from tidegate_server.errors import (
    DeadlinePassed,
    InvalidRequest,
    ModelFailed,
    NotAllowed,
    NotFiniteOutput,
    NotReady,
    Overloaded,
)
from tidegate_server.web.message import Answer, refusal


def refused(error: BaseException) -> Answer:
    """Every error of a request, and 500 for what nobody foresaw."""
    match error:
        case InvalidRequest():
            return refusal(error.status, str(error))
        case NotAllowed(status=401):
            return refusal(401, str(error), (("www-authenticate", CHALLENGE),))
        case NotAllowed():
            return refusal(error.status, str(error))
        case Overloaded():
            return refusal(429, str(error), (("retry-after", str(error.retry_after_seconds)),))
        case NotReady():
            return refusal(503, str(error), (("retry-after", "1"),))
        case DeadlinePassed():
            return refusal(504, str(error))
        case NotFiniteOutput():
            return refusal(500, str(error))
        case ModelFailed():
            return refusal(500, "the model failed on this input")
        case _:
            return refusal(500, "the server failed on this request")
