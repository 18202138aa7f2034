"""What operator and router say to each other is read back, and what anybody else says isn't believed."""

import dataclasses
import json
from typing import Any

import pytest

from tidegate.errors import MalformedObject, NotEvidence
from tidegate.resources.sampling import (
    MOST_CLUSTERS,
    MOST_REQUEST_BYTES,
    SamplesAnswer,
    SamplesRequest,
    answer_body,
    key_of_request,
    read_answer,
    read_request,
    request_body,
    sign_answer,
    sign_request,
)

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
ROUTER, NONCE = "tidegate/tidegate-router-x", "0123456789abcdef" * 2
CLUSTERS = ("shop/sentiment/sentiment-6f9c1d2e", "shop/sentiment/sentiment-81aa0b3c/preview")
REQUEST = SamplesRequest(CLUSTERS, NONCE)
ANSWER = SamplesAnswer(NONCE, ROUTER, 1767225600.25, 1767225661.5, 'envoy_x{a="b"} 7\n')
BODY = answer_body(ANSWER)


def test_a_request_is_read_back() -> None:
    assert read_request(request_body(REQUEST)) == REQUEST


def test_the_longest_request_is_within_the_limit() -> None:
    part = "x" * 63
    longest = SamplesRequest((f"{part}/{part}/{part}/preview",) * MOST_CLUSTERS, NONCE)

    assert read_request(request_body(longest)) == longest
    assert len(request_body(longest)) < MOST_REQUEST_BYTES


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"clusters": []}, "1 to 512"),
        ({"clusters": ["a/b/c"] * 513}, "1 to 512"),
        ({"clusters": "a/b/c"}, "1 to 512"),
        ({"clusters": ["a/b"]}, "namespace/name/revision"),
        ({"clusters": ["a/b/.*"]}, "namespace/name/revision"),
        ({"clusters": ["a/b/c|d"]}, "namespace/name/revision"),
        ({"clusters": ["a/b/c\n"]}, "namespace/name/revision"),
        ({"clusters": ["a/b/c/d"]}, "namespace/name/revision"),
        ({"clusters": [7]}, "namespace/name/revision"),
        ({"nonce": "abc"}, "32 hexadecimal digits"),
        ({"nonce": None}, "32 hexadecimal digits"),
        ({"nonce": NONCE.upper()}, "32 hexadecimal digits"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(MalformedObject, match=says):
        read_request(json.dumps({**dataclasses.asdict(REQUEST), **change}).encode())


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"7", b"[" * 100_000, b" " * (MOST_REQUEST_BYTES + 1)])
def test_a_body_that_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedObject, match="the body"):
        read_request(body)


def test_a_request_is_taken_with_any_of_the_keys_by_the_router_it_was_made_for_alone() -> None:
    body = request_body(REQUEST)
    signature = sign_request(OTHER_KEY, ROUTER, body)

    assert key_of_request((KEY, OTHER_KEY), ROUTER, body, signature) == OTHER_KEY
    assert key_of_request((KEY,), ROUTER, body, signature) is None
    assert key_of_request((), ROUTER, body, signature) is None
    assert key_of_request((OTHER_KEY,), ROUTER + "y", body, signature) is None
    assert key_of_request((OTHER_KEY,), ROUTER, body + b" ", signature) is None
    assert key_of_request((OTHER_KEY,), ROUTER, body, "") is None
    assert key_of_request((OTHER_KEY,), ROUTER, body, "é\udcff") is None


def test_an_answer_is_read_back() -> None:
    assert read_answer(KEY, BODY, sign_answer(KEY, BODY), router=ROUTER, nonce=NONCE) == ANSWER


def test_an_answer_that_was_recorded_is_of_no_use_for_another_request() -> None:
    with pytest.raises(NotEvidence, match="to another request"):
        read_answer(KEY, BODY, sign_answer(KEY, BODY), router=ROUTER, nonce="f" * 32)


def test_another_routers_answer_is_not_taken_for_this_ones() -> None:
    with pytest.raises(NotEvidence, match="is of router 'tidegate/tidegate-router-x'"):
        read_answer(KEY, BODY, sign_answer(KEY, BODY), router="tidegate/y", nonce=NONCE)


@pytest.mark.parametrize(
    ("body", "signature"),
    [
        pytest.param(BODY, sign_answer(OTHER_KEY, BODY), id="another key"),
        pytest.param(BODY, "", id="none"),
        pytest.param(BODY.replace(b"7", b"8"), sign_answer(KEY, BODY), id="a changed count"),
        pytest.param(BODY[:-1], sign_answer(KEY, BODY), id="cut short"),
        pytest.param(BODY, sign_request(KEY, ROUTER, BODY), id="a request's"),
    ],
)
def test_an_answer_without_its_signature_is_no_evidence(body: bytes, signature: str) -> None:
    with pytest.raises(NotEvidence, match="isn't signed"):
        read_answer(KEY, body, signature, router=ROUTER, nonce=NONCE)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 2}, "in version 2, not in 1"),
        ({"version": None}, "in version None"),
        ({"started": None}, "missing or of another kind"),
        ({"started": True}, "missing or of another kind"),
        ({"started": float("nan")}, "missing or of another kind"),
        ({"started": 10**400}, "missing or of another kind"),
        ({"time": "now"}, "missing or of another kind"),
        ({"time": -1}, "missing or of another kind"),
        ({"metrics": None}, "missing or of another kind"),
    ],
)
def test_an_answer_that_makes_no_sense_is_no_evidence(change: dict[str, Any], says: str) -> None:
    body = json.dumps({**json.loads(BODY), **change}).encode()

    with pytest.raises(NotEvidence, match=says):
        read_answer(KEY, body, sign_answer(KEY, body), router=ROUTER, nonce=NONCE)


@pytest.mark.parametrize("body", [b"", b"{", b"[]"])
def test_a_signed_answer_that_is_no_object_is_no_evidence(body: bytes) -> None:
    with pytest.raises(NotEvidence, match="the body isn't"):
        read_answer(KEY, body, sign_answer(KEY, body), router=ROUTER, nonce=NONCE)
