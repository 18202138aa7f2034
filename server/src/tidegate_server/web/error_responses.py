"""What a client reads of an error: status and sentence. Never the words of an exception that isn't ours. Pure."""

from tidegate_server.access.authenticator import CHALLENGE
from tidegate_server.errors import ModelFailed, RequestError
from tidegate_server.web.message import Headers, Response, error_response


def response_for(error: BaseException) -> Response:
    """Every error of a request, and 500 for what nobody foresaw."""
    if isinstance(error, ModelFailed):
        return error_response(500, "the model failed on this input")
    if not isinstance(error, RequestError):
        return error_response(500, "the server failed on this request")
    headers: Headers = ()
    if error.status == 401:
        headers = (("www-authenticate", CHALLENGE),)
    elif error.retry_after_seconds is not None:
        headers = (("retry-after", str(error.retry_after_seconds)),)
    return error_response(error.status, str(error), headers)
