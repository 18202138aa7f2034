"""Which request may be asked another revision again, and what of it is kept for that. Pure."""

import re

from tidegate_server.metrics.snapshot import LIVE
from tidegate_server.request_samples.samples import Sample
from tidegate_server.web.message import JSON, JSON_LENGTH, Request, Response

_VERSION = re.compile(rb"/versions/[^/]+/infer$")


def sample_of(request: Request, response: Response, traffic: str) -> Sample | None:
    """A user's request that was answered, in JSON throughout: other answers can't be compared. None for others."""
    if response.status != 200 or traffic != LIVE or b"content-encoding" in request.headers:
        return None
    if ("content-type", JSON) not in response.headers:
        return None
    # The path of one version is that of one revision: the other one has another.
    target = _VERSION.sub(b"/infer", request.target).decode("latin-1")
    content_type, json_bytes = request.header(b"content-type"), request.header(JSON_LENGTH)
    return Sample(target, content_type or "", json_bytes or "", request.body)
