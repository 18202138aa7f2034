"""Compressed bodies, bounded by what they become. Pure."""

import gzip
import zlib

from tidegate_server.errors import InvalidRequest

MIN_COMPRESSED_BYTES = 1024
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_FASTEST = 1


def decompressed(body: bytes, encoding: str, limit: int) -> bytes:
    """Raises InvalidRequest: 415 for an unknown encoding, 413 above `limit` bytes, 400 for a broken or cut stream."""
    bits = _WINDOW_BITS.get(encoding.strip().lower())
    if bits is None:
        raise InvalidRequest("the body's content-encoding isn't supported; send gzip, deflate or none", 415)
    stream = zlib.decompressobj(bits)
    try:
        content = stream.decompress(body, limit + 1)
    except zlib.error:
        raise InvalidRequest(f"the body isn't valid {encoding.strip().lower()}") from None
    if len(content) > limit:
        raise InvalidRequest(f"the decompressed body is larger than {limit} bytes", 413)
    if not stream.eof:
        raise InvalidRequest("the compressed body is cut short")
    if stream.unused_data:
        raise InvalidRequest("there are bytes after the end of the compressed body")
    return content


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
