"""Bodies of /predict that differ from earlier ones in nothing but the numbers of their only list. Pure.

    [[1, 2]]    {"inputs": [[1, 2]]}    {"inputs": {"x": [[1, 2]]}}

The frame is all bytes but the innermost list. Brackets and spaces stand around it and nothing else that has a meaning,
so a body with a known frame is read by its numbers alone. Whatever else comes is the predictor's to read, as are all
sentences about mistakes.
"""

import re
from dataclasses import dataclass

from tidegate_server.predict.predictor import ParsedRequest
from tidegate_server.protocol.known_bodies import MAX_FRAME_BYTES, put
from tidegate_server.protocol.known_numbers import KnownNumbers
from tidegate_server.protocol.request import InferRequest
from tidegate_server.protocol.signature import Signature

_BEFORE = re.compile(rb'\s*(?:\{\s*"inputs"\s*:\s*(?:\{\s*"[^"\\]*"\s*:\s*)?)?[\[\s]*')
_AFTER = re.compile(rb"[\]}\s]*")


@dataclass(frozen=True, slots=True)
class _Frame:
    """`like` is the first request that had it: its answer is written as theirs are, whatever the numbers."""

    numbers: KnownNumbers
    like: ParsedRequest

    def read(self, numbers: bytes) -> ParsedRequest | None:
        """`numbers` with their brackets."""
        array = self.numbers.read(numbers)
        if array is None:
            return None
        like = self.like
        request = InferRequest({self.numbers.name: array}, like.requests[0].outputs)
        return ParsedRequest((request,), like.write, like.rows)


class KnownPredictBodies:
    """Of one model and its predictor. Any thread may use it: two that remember at once both do."""

    def __init__(self, signature: Signature) -> None:
        """None yet."""
        self._signature = signature
        self._frames: dict[bytes, _Frame] = {}

    def __len__(self) -> int:
        """Frames that are remembered."""
        return len(self._frames)

    def read(self, body: bytes) -> ParsedRequest | None:
        """What the predictor would give; None where it has to be asked."""
        begin, end = _innermost(body)
        frame = self._frames.get(body[:begin] + body[end:]) if end else None
        return None if frame is None else frame.read(body[begin:end])

    def remember(self, body: bytes, parsed: ParsedRequest) -> None:
        """`parsed` is what the predictor has made of it."""
        if len(parsed.requests) != 1 or len(parsed.requests[0].arrays) != 1 or parsed.requests[0].is_derived:
            return
        ((name, array),) = parsed.requests[0].arrays.items()
        spec = self._signature.input(name)
        begin, end = _innermost(body)
        if spec is None or not end:
            return
        before, after = body[:begin], body[end:]
        if not _BEFORE.fullmatch(before) or not _AFTER.fullmatch(after):
            return
        numbers = KnownNumbers.of(spec, array, body[begin:end])
        if numbers is not None:
            put(self._frames, before + after, _Frame(numbers, parsed))


def _innermost(body: bytes) -> tuple[int, int]:
    """Where the first list without another one in it begins and ends; 0 and 0 where its frame is too large, or none."""
    end = body.find(b"]") + 1
    begin = body.rfind(b"[", 0, end)
    return (0, 0) if begin < 0 or begin + len(body) - end > MAX_FRAME_BYTES else (begin, end)
