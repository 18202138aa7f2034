"""What the benchmarks' client sends and what it takes for an answer."""

import asyncio
from typing import cast

import pytest

from benchmarks.http_client import Connection, NoResponse, Response, request_bytes


def read(received: bytes, *, has_body: bool = True) -> Response:
    async def response() -> Response:
        reader = asyncio.StreamReader()
        reader.feed_data(received)
        reader.feed_eof()
        return await Connection(reader, cast(asyncio.StreamWriter, None)).response(has_body=has_body)

    return asyncio.run(response())


def test_a_request_has_a_length_or_comes_in_chunks() -> None:
    assert request_bytes("/a", b"abc", x_y="1", z=None) == (
        b"POST /a HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 3\r\nx-y: 1\r\n\r\nabc"
    )
    assert request_bytes("/a", b"abc", chunk=2) == (
        b"POST /a HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    )


def test_an_answer_is_read_to_its_length_and_what_comes_before_it_is_skipped() -> None:
    received = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nokmore"
    response = read(received)
    assert response == Response(200, {"content-length": "2", "connection": "close"}, b"ok")
    assert response.closes


def test_an_answer_to_head_has_a_length_and_no_body() -> None:
    assert read(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", has_body=False).body == b""


@pytest.mark.parametrize(
    ("received", "sentence"),
    [
        pytest.param(b"", "after 0 bytes", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", "after 17 bytes", id="half a head"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", "after 3 bytes", id="half a body"),
        pytest.param(b"SSH-2.0 hello\r\n\r\n", "instead of an answer", id="another protocol"),
    ],
)
def test_less_than_an_answer_is_none(received: bytes, sentence: str) -> None:
    with pytest.raises(NoResponse, match=sentence):
        read(received)
