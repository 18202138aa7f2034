"""A head that was read before is read the same, asked about the same, and bounded the same, only sooner."""

from dataclasses import replace
from typing import Any

import pytest

from tests.server.web.conftest import LIMITS
from tidegate_server.access.principal import Principal
from tidegate_server.held_bytes import HeldBytes
from tidegate_server.web.known_heads import MAX_HEADS, KnownHeads
from tidegate_server.web.message import Request, Response, error_response
from tidegate_server.web.request_parser import CheckHead, Rejected, RequestParser

POST = b"POST /a HTTP/1.1\r\nHost: here\r\nContent-Type: a/b\r\nContent-Length: 3\r\n\r\n"
GET = b"GET /b HTTP/1.1\r\nHost: here\r\n\r\n"


class Context:
    """What the connections of one server share."""

    limits = LIMITS

    def __init__(self, check_head: CheckHead | None = None, held_bytes: int = 10_000) -> None:
        self.check_head, self.held, self.known_heads = check_head, HeldBytes(held_bytes), KnownHeads()

    def make_room(self, _size: int) -> bool:
        return False

    def knows(self, head: bytes) -> bool:
        return self.known_heads.find(head) is not None


def read(context: Context, *packets: bytes) -> list[tuple[Any, ...]]:
    """What one connection takes of it, and how it ends."""
    taken: list[Request] = []
    parser = RequestParser(context, taken.append, lambda: None)
    end: tuple[Any, ...] = ()
    try:
        for packet in packets:
            parser.feed(packet)
    except Rejected as rejected:
        end = (rejected.response.status, parser.target, parser.method)
    found = [(each.method, each.target, each.headers, each.body, each.keep_alive, each.is_old) for each in taken]
    return [*found, (*end, parser.has_ended)]


def warm(*heads: bytes, check_head: CheckHead | None = None) -> Context:
    context = Context(check_head)
    for head in heads:
        read(context, head)
    return context


@pytest.mark.parametrize("body", [b"abc", b"\r\n\r", b"\r\n\r\n"[:3]])
def test_a_known_head_with_another_body_is_the_request_that_it_would_be(body: bytes) -> None:
    context = warm(POST + b"xyz")
    assert context.knows(POST)
    assert read(context, POST + body) == read(Context(), POST + body)


def test_pipelined_requests_are_the_same_wherever_they_are_cut() -> None:
    stream = POST + b"abc" + GET + POST + b"def" + POST + b"ghi" + GET
    expected = read(Context(), stream)
    assert len(expected) == 6
    for at in range(len(stream) + 1):
        context = warm(POST + b"xyz", GET)
        assert read(context, stream[:at], stream[at:]) == expected


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"GET /b HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n", id="the last one"),
        pytest.param(b"GET /b HTTP/1.0\r\nHost: here\r\nConnection: keep-alive\r\n\r\n", id="HTTP/1.0"),
        pytest.param(POST.replace(b"Host", b"Expect: 100-continue\r\nHost") + b"abc", id="it asks for a word first"),
        pytest.param(
            GET.replace(b"Host", b"Upgrade: h2c\r\nConnection: Upgrade\r\nHost"), id="it offers another protocol"
        ),
        pytest.param(b"POST /a HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="chunks"),
        pytest.param(b"\r\n" + GET, id="an empty line before it"),
        pytest.param(GET.replace(b"Host", b"X: " + b"x" * 2000 + b"\r\nHost"), id="long"),
        pytest.param(GET + GET, id="two at once"),
    ],
)
def test_only_plain_heads_that_came_by_themselves_are_remembered(request_bytes: bytes) -> None:
    context = warm(request_bytes)
    assert not context.knows(request_bytes[: request_bytes.find(b"\r\n\r\n") + 4])
    assert read(context, request_bytes) == read(Context(), request_bytes)


@pytest.mark.parametrize(
    "wrong",
    [
        POST.replace(b"Host: here\r\n", b""),
        POST.replace(b"Content-Length: 3", b"Content-Length: 3\r\nContent-Length: 4"),
        POST.replace(b"\r\n", b"\n"),
        POST.replace(b"3", b"200000"),
    ],
)
def test_what_is_refused_is_never_remembered(wrong: bytes) -> None:
    context = warm(wrong + b"abc")
    assert not context.knows(wrong)
    assert read(context, wrong + b"abc") == read(Context(), wrong + b"abc")


def test_whoever_sends_a_known_head_is_asked_for_a_key_each_time() -> None:
    jane, answers = Principal("jane", "key"), [True, True, False]

    def check(_target: bytes, _headers: dict[bytes, bytes]) -> Principal | Response:
        return jane if answers.pop(0) else error_response(401, "who?")

    context = Context(check)
    taken: list[Request] = []
    parser = RequestParser(context, taken.append, lambda: None)
    parser.feed(POST + b"abc")
    parser.feed(POST + b"abc")
    with pytest.raises(Rejected) as rejected:
        parser.feed(POST + b"abc")
    assert [request.principal for request in taken] == [jane, jane]
    assert (rejected.value.response.status, parser.target) == (401, b"/a")


def test_bodies_behind_known_heads_are_bounded_together() -> None:
    context = Context(held_bytes=100)
    whole = POST.replace(b"3", b"50") + b"x" * 50
    assert [len(each) for each in read(context, whole, whole, whole)] == [6, 6, 4]
    assert context.held.held == 100


def test_a_request_with_a_known_head_that_there_is_no_room_for_is_told_by_its_own_headers() -> None:
    context = Context(held_bytes=100)
    whole = POST.replace(b"3", b"50") + b"x" * 50
    read(context, whole, whole)
    parser = RequestParser(context, lambda _: None, lambda: None)
    parser.feed(GET)
    with pytest.raises(Rejected):
        parser.feed(whole)
    assert parser.headers[b"content-length"] == b"50"


def test_a_known_head_whose_body_isnt_there_yet_waits_for_it() -> None:
    context = warm(POST + b"xyz")
    taken: list[Request] = []
    parser = RequestParser(context, taken.append, lambda: None)
    parser.feed(POST + b"a")
    assert (taken, parser.body_left) == ([], 2)
    parser.feed(b"bc" + POST + b"def")
    assert [request.body for request in taken] == [b"abc", b"def"]


def test_heads_that_never_come_again_are_forgotten() -> None:
    context = Context()
    heads = [GET.replace(b"/b", b"/%d" % number) for number in range(3 * MAX_HEADS)]
    for head in heads:
        read(context, head)
    assert sum(map(context.knows, heads)) <= MAX_HEADS


def test_a_smaller_bound_on_bodies_isnt_passed_by_a_known_head() -> None:
    """Each server has a memory of its own, so what one allows is nothing to another."""
    small = Context()
    small.limits = replace(LIMITS, body_bytes=2)
    assert read(small, POST + b"abc") == [(413, b"/a", b"POST", False)]
    assert not small.knows(POST)
