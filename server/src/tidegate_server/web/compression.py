"""Compressed bodies, bounded by what they become. Pure."""

import gzip
import zlib

from tidegate_server.errors import InvalidRequest

MIN_COMPRESSED_BYTES = 1024
MAX_MEMBERS = 1000
"""Of one gzip body: tools that compress in parallel write some."""
_GZIP, _ZLIB, _RAW = 31, 15, -15
_FASTEST = 1


def decompressed(body: bytes, encoding: str, limit: int) -> bytes:
    """Raises InvalidRequest: 415 for an unknown encoding, 413 above `limit` bytes, 400 for a broken or cut stream."""
    name = encoding.strip().lower()
    if name not in ("gzip", "x-gzip", "deflate"):
        raise InvalidRequest("the body's content-encoding isn't supported; send gzip, deflate or none", 415)
    bits = _GZIP if name != "deflate" else _ZLIB if _is_zlib(body) else _RAW
    parts, left = [], limit
    for _ in range(MAX_MEMBERS):
        content, body = _member(body, bits, name, left, limit)
        parts.append(content)
        left -= len(content)
        if not body:
            return b"".join(parts)
        if bits != _GZIP or not body.startswith(b"\x1f\x8b"):
            raise InvalidRequest("there are bytes after the end of the compressed body")
    raise InvalidRequest(f"the body has more than {MAX_MEMBERS} gzip members; compress it as one")


def _member(body: bytes, bits: int, name: str, left: int, limit: int) -> tuple[bytes, bytes]:
    """What one stream becomes, and what comes behind it. `left` of the `limit` is allowed to come."""
    stream = zlib.decompressobj(bits)
    try:
        content = stream.decompress(body, left + 1)
    except zlib.error:
        raise InvalidRequest(f"the body isn't valid {name}") from None
    if len(content) > left:
        raise InvalidRequest(f"the decompressed body is larger than {limit} bytes", 413)
    if not stream.eof:
        raise InvalidRequest("the compressed body is cut short")
    return content, stream.unused_data


def _is_zlib(body: bytes) -> bool:
    """By its first two bytes, as RFC 1950 has them. Some clients send the bare stream as `deflate`."""
    return len(body) > 1 and body[0] & 15 == 8 and (body[0] * 256 + body[1]) % 31 == 0


def accepted_encoding(header: str) -> str | None:
    """gzip or deflate, if the client's Accept-Encoding allows one of them."""
    for part in header.lower().split(","):
        name, _, parameters = part.partition(";")
        is_refused = parameters.replace(" ", "").rstrip("0.") == "q="
        if name.strip() in ("gzip", "deflate") and not is_refused:
            return name.strip()
    return None


def compressed(body: bytes, encoding: str) -> bytes:
    """`encoding` as accepted_encoding gave it."""
    if encoding == "gzip":
        return gzip.compress(body, _FASTEST, mtime=0)
    return zlib.compress(body, _FASTEST)
