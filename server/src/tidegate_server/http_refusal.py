"""The answer to bytes that aren't proper HTTP: JSON like every other error."""

import json

from gunicorn.http import errors

_PHRASES = {
    400: "Bad Request",
    414: "URI Too Long",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
}


def http_refusal(error: Exception) -> tuple[int, bytes]:
    """The status, and the whole answer with its head."""
    status, message = _status(error)
    body = json.dumps({"error": message}).encode()
    head = (
        f"HTTP/1.1 {status} {_PHRASES[status]}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return status, head.encode() + body


def _status(error: Exception) -> tuple[int, str]:
    match error:
        case errors.LimitRequestLine():
            return 414, "the request line is too long"
        case errors.LimitRequestHeaders():
            return 431, "the request headers are too large"
        case errors.UnsupportedTransferCoding():
            return 501, "this transfer coding isn't supported"
        case errors.ExpectationFailed():
            return 417, "this expectation isn't supported"
        case errors.ParseException():
            return 400, "the request isn't valid HTTP"
        case _:
            return 500, "the server failed on this request"
