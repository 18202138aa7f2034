"""JSON documents: bytes to Python values and back; the place that knows orjson. Pure."""

from typing import Any

import orjson

from tidegate_server.errors import InvalidRequest

MAX_SHOWN = 80  # characters of a client's own words in a sentence to it


def parse_json(body: bytes | memoryview) -> Any:
    """A value without NaN, infinity or half surrogate pairs, nested less than 1024 deep. Raises InvalidRequest."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"the body isn't valid JSON ({error})") from None


def dump_json(value: Any) -> bytes:
    """Takes contiguous arrays of numbers too, in which NaN and infinity become null.

    Raises TypeError for half a surrogate pair.
    """
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def quoted(words: str) -> str:
    """A client's own words, quoted and cut, for a sentence to it."""
    return repr(words) if len(words) <= MAX_SHOWN else repr(words[:MAX_SHOWN]) + "…"
