"""Which requests are kept to be asked again, and what of them."""

import pytest

from tidegate_server.metrics.snapshot import DIRECT, LIVE, PREVIEW
from tidegate_server.request_samples.samples import Sample
from tidegate_server.web.message import JSON, OCTETS, Request, Response
from tidegate_server.web.sample import sample_of

OK = Response(200, b"{}")
INFER = "/v2/models/digits/infer"


def a_request(body: bytes = b"{}", target: bytes = b"/predict", **headers: bytes) -> Request:
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return Request(b"POST", target, named, body, True, 0.0)


@pytest.mark.parametrize(
    ("request_", "response", "traffic", "kept"),
    [
        pytest.param(a_request(), OK, LIVE, True, id="a user's that was answered"),
        pytest.param(a_request(), OK, PREVIEW, False, id="a preview, as are the requests that are sent again"),
        pytest.param(a_request(), OK, DIRECT, False, id="one that came past the router"),
        pytest.param(a_request(), Response(400, b"{}"), LIVE, False, id="one that wasn't answered"),
        pytest.param(
            a_request(), Response(200, b"", (("content-type", OCTETS),)), LIVE, False, id="answered in binary"
        ),
        pytest.param(a_request(content_encoding=b"gzip"), OK, LIVE, False, id="compressed"),
    ],
)
def test_what_is_kept(request_: Request, response: Response, traffic: str, kept: bool) -> None:
    assert (sample_of(request_, response, traffic) is not None) == kept


def test_a_sample_has_no_header_but_those_of_its_body_and_no_revision_in_its_path() -> None:
    headers = {"content_type": JSON.encode(), "authorization": b"Bearer secret", "x_api_key": b"secret"}
    target = b"/v2/models/digits/versions/digits-6f9c1d2e/infer"
    request = a_request(b'{"a": 1}..', target, inference_header_content_length=b"8", **headers)

    assert sample_of(request, OK, LIVE) == Sample(INFER, JSON, "8", b'{"a": 1}..')
