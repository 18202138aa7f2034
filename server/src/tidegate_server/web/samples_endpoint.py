"""Gives samples of requests, on the admin port, to whoever has their key."""

import hmac
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tidegate_server.errors import InvalidRequest, NotAllowed, RequestError
from tidegate_server.request_samples.samples import Sample
from tidegate_server.request_samples.settings import KEEP, KEY_FILE
from tidegate_server.web.message import Response, json_response

PATH = "/v2/request-samples"
MOST_AT_ONCE = 100
LEAST_KEY_BYTES, MOST_KEY_BYTES = 16, 4096
BEARER = "Bearer "


@dataclass(frozen=True)
class SamplesEndpoint:
    """POST, as what is taken is gone. Neither log nor metrics have anything of a sample."""

    key_file: Path
    take: Callable[[int], list[Sample]]
    """Of all processes together."""

    def respond(self, authorization: str, most: str) -> Response:
        """`most` samples, as the query has it. Raises RequestError."""
        key = _key(self.key_file)
        given = authorization.removeprefix(BEARER) if authorization.startswith(BEARER) else ""
        if not hmac.compare_digest(given.encode(), key):
            raise NotAllowed("the samples of requests are for whoever sends their key as a bearer token")
        if not (most.isascii() and most.isdigit() and 0 < int(most) <= MOST_AT_ONCE):
            raise InvalidRequest(f"most must be a whole number from 1 to {MOST_AT_ONCE}")
        return json_response(200, {"samples": [_document(each) for each in self.take(int(most))]})


def no_samples() -> Response:
    """Where none are kept. Raises RequestError."""
    raise RequestError(f"this server keeps no samples of requests: {KEEP} isn't set", 404)


def _key(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            key = file.read(MOST_KEY_BYTES).strip()
    except OSError as error:
        raise RequestError(f"{KEY_FILE}: it can't be read ({error.strerror}), so nobody gets samples", 503) from None
    if len(key) < LEAST_KEY_BYTES:
        raise RequestError(f"{KEY_FILE}: the key is shorter than {LEAST_KEY_BYTES} bytes, so nobody gets samples", 503)
    return key


def _document(sample: Sample) -> dict[str, str]:
    return {
        "target": sample.target,
        "contentType": sample.content_type,
        "jsonBytes": sample.json_bytes,
        "body": b64encode(sample.body).decode(),
    }
