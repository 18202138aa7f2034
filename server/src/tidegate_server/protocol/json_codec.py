"""JSON documents: bytes to Python values and back; the place that knows orjson. Pure."""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import orjson

from tidegate_server.errors import InvalidRequest

NUMBERS_AT_ONCE = 2**14
"""Written within two milliseconds; nothing else of Python runs meanwhile."""
MAX_SHOWN = 80  # characters of a client's own words in a sentence to it
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MAX_BYTES_WITH_NAN = 2**20
"""Looked through within a fifth of a second; nothing else of Python runs meanwhile."""

# A string whole, also one without an end, so that no character is looked at twice; or the word outside of one.
_STRING_OR_NAN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|NaN', re.DOTALL)


def parse_json(body: bytes | memoryview) -> Any:
    """A value without NaN, infinity or half surrogate pairs, nested less than 1024 deep. Raises InvalidRequest.

    A bare NaN, which Python's own writer puts out, is read as null, a missing value, in a body of at most 1 MiB. A byte
    order mark before it, as .NET and PowerShell write it, is left out.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        refusal = error
    whole = bytes(body)
    is_marked = whole.startswith(_BYTE_ORDER_MARK)
    whole = whole.removeprefix(_BYTE_ORDER_MARK)
    has_nan = b"NaN" in whole and len(whole) <= MAX_BYTES_WITH_NAN
    if has_nan:
        whole = _STRING_OR_NAN.sub(_null_for_nan, whole)
    if has_nan or is_marked:
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(whole)
    hint = "; infinity has no place in JSON, send the tensor in binary" if b"Infinity" in whole else ""
    raise InvalidRequest(f"the body isn't valid JSON ({refusal}){hint}") from None


def _null_for_nan(found: re.Match[bytes]) -> bytes:
    return b"null" if found[0] == b"NaN" else found[0]


def dump_json(value: Any, numbers: int = 0) -> bytes:
    """Takes contiguous arrays of numbers too, in which NaN and infinity become null.

    `numbers`: how many its arrays have, where they may be many; these are written in pieces, between which other
    threads have their turn. Raises TypeError for half a surrogate pair.
    """
    if numbers > NUMBERS_AT_ONCE:
        value = _with_pieces(value)
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def _with_pieces(value: Any) -> Any:
    """The same document, but with its large arrays written already."""
    if isinstance(value, dict):
        return {name: _with_pieces(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_pieces(each) for each in value]
    if isinstance(value, np.ndarray) and value.size > NUMBERS_AT_ONCE:
        return orjson.Fragment(b"".join(_pieces(value)))
    return value


def _pieces(array: np.ndarray[Any, Any]) -> Iterator[bytes]:
    if array.size <= NUMBERS_AT_ONCE:
        yield orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY)
        return
    rows = max(1, NUMBERS_AT_ONCE * len(array) // array.size)
    separator = b"["
    for begin in range(0, len(array), rows):
        yield separator
        separator = b","
        if rows > 1 or array.ndim == 1:
            yield orjson.dumps(array[begin : begin + rows], option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
        else:
            yield from _pieces(array[begin])
    yield b"]"


def quoted(words: str) -> str:
    """A client's own words, quoted and cut, for a sentence to it."""
    return repr(words) if len(words) <= MAX_SHOWN else repr(words[:MAX_SHOWN]) + "…"
