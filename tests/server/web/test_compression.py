"""Compressed bodies as clients send them."""

import gzip
import zlib

import pytest

from tidegate_server.errors import InvalidRequest
from tidegate_server.web.compression import MAX_MEMBERS, decompressed

BODY = b'{"inputs": [[1, 2, 3]]}'


def raw_deflate(body: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(body) + stream.flush()


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        pytest.param(gzip.compress(BODY), "gzip", id="gzip"),
        pytest.param(gzip.compress(BODY), " X-GZIP ", id="its old name"),
        pytest.param(gzip.compress(BODY[:5]) + gzip.compress(BODY[5:]), "gzip", id="several members"),
        pytest.param(zlib.compress(BODY), "deflate", id="deflate as it is written down"),
        pytest.param(raw_deflate(BODY), "deflate", id="deflate as some send it"),
    ],
)
def test_every_unambiguous_form_is_taken(body: bytes, encoding: str) -> None:
    assert decompressed(body, encoding, 1000) == BODY


@pytest.mark.parametrize(
    ("body", "encoding", "status", "words"),
    [
        pytest.param(BODY, "br", 415, "send gzip, deflate or none", id="another encoding"),
        pytest.param(BODY, "gzip", 400, "isn't valid gzip", id="not compressed"),
        pytest.param(b"", "gzip", 400, "cut short", id="nothing"),
        pytest.param(gzip.compress(BODY)[:-1], "gzip", 400, "cut short", id="cut short"),
        pytest.param(gzip.compress(BODY) + b"more", "gzip", 400, "after the end", id="something behind it"),
        pytest.param(zlib.compress(BODY) + zlib.compress(BODY), "deflate", 400, "after the end", id="two of deflate"),
        pytest.param(gzip.compress(b"x" * 1001), "gzip", 413, "larger than 1000", id="too large"),
        pytest.param(gzip.compress(b"x" * 501) * 2, "gzip", 413, "larger than 1000", id="too large together"),
        pytest.param(
            gzip.compress(b"") * (MAX_MEMBERS + 1), "gzip", 400, "1000 gzip members", id="a thousand of nothing"
        ),
    ],
)
def test_anything_else_is_told_what_is_wrong(body: bytes, encoding: str, status: int, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        decompressed(body, encoding, 1000)
    assert caught.value.status == status
