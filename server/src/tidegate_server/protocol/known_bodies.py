"""Bodies of the protocol that differ from earlier ones in nothing but the numbers of their tensors. Pure.

A client's bodies have one frame: names, shapes, wanted outputs. It is read once by `v2.read_infer`, with all its
checks, and remembered with what it means; of the next body with the same frame only the numbers are read. Whatever
isn't remembered, or has other things than numbers in it, is `v2.read_infer`'s, as are all sentences about mistakes.

* JSON with one tensor of numbers: the frame is all bytes but those between the brackets after `"data":`.
* Binary tensors: the frame is the JSON and the number of bytes behind it.
"""

from dataclasses import dataclass
from typing import TypeVar

from tidegate_server.protocol.binary import array_from_bytes
from tidegate_server.protocol.json_codec import parse_json
from tidegate_server.protocol.known_numbers import KnownNumbers
from tidegate_server.protocol.request import InferRequest, RequestedOutput
from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.tensors import Array

MAX_FRAMES = 256
MAX_FRAME_BYTES = 1024
_KEY = b'"data":'

Frame = TypeVar("Frame")


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a request says beside its arrays."""

    outputs: tuple[RequestedOutput, ...]
    id: str | None
    timeout_seconds: float | None

    def request(self, arrays: dict[str, Array]) -> InferRequest:
        return InferRequest(arrays, self.outputs, self.id, self.timeout_seconds)


@dataclass(frozen=True, slots=True)
class _JsonFrame:
    """One tensor, whose numbers are JSON."""

    meaning: _Meaning
    numbers: KnownNumbers

    def read(self, numbers: bytes) -> InferRequest | None:
        """`numbers` with their brackets."""
        array = self.numbers.read(numbers)
        return None if array is None else self.meaning.request({self.numbers.name: array})


@dataclass(frozen=True, slots=True)
class _BinaryFrame:
    """All tensors behind the JSON: specification, shape, where each begins, and its bytes."""

    meaning: _Meaning
    size: int
    tensors: tuple[tuple[TensorSpec, tuple[int, ...], int, int], ...]

    def read(self, body: bytes) -> InferRequest | None:
        """Raises InvalidRequest for values that the datatype doesn't have, as `v2.read_infer` does."""
        if len(body) != self.size:
            return None
        return self.meaning.request(
            {spec.name: array_from_bytes(spec, shape, body, begin, size) for spec, shape, begin, size in self.tensors}
        )


class KnownBodies:
    """Of one model. Any thread may use it: two that remember at once both do."""

    def __init__(self, signature: Signature) -> None:
        """None yet."""
        self._signature = signature
        self._json: dict[bytes, _JsonFrame] = {}
        self._binary: dict[bytes, _BinaryFrame] = {}

    def __len__(self) -> int:
        """Frames that are remembered."""
        return len(self._json) + len(self._binary)

    def read(self, body: bytes, json_bytes: int | None) -> InferRequest | None:
        """What `v2.read_infer` would give; None where that has to be asked. Raises InvalidRequest only as it does."""
        if json_bytes is not None:
            is_short = 0 < json_bytes <= min(MAX_FRAME_BYTES, len(body))
            binary = self._binary.get(body[:json_bytes]) if is_short else None
            return None if binary is None else binary.read(body)
        begin = _numbers_begin(body)
        if not begin:
            return None
        end = body.find(b"]", begin) + 1
        if begin + len(body) - end > MAX_FRAME_BYTES:
            return None
        frame = self._json.get(body[:begin] + body[end:])
        return None if frame is None else frame.read(body[begin:end])

    def remember(self, body: bytes, json_bytes: int | None, request: InferRequest) -> None:
        """`request` is what `v2.read_infer` has made of it."""
        meaning = _Meaning(request.outputs, request.id, request.timeout_seconds)
        if json_bytes is not None:
            self._remember_binary(body, json_bytes, request, meaning)
        elif len(request.arrays) == 1:
            self._remember_json(body, request, meaning)

    def _remember_json(self, body: bytes, request: InferRequest, meaning: _Meaning) -> None:
        ((name, array),) = request.arrays.items()
        spec = self._signature.input(name)
        begin = _numbers_begin(body)
        end = body.find(b"]", begin) + 1
        if spec is None or not begin or begin + len(body) - end > MAX_FRAME_BYTES:
            return
        # One such list in all of the body, without an escape that could hide another, and numbers alone in it: then
        # its brackets belong together, and it is the tensor's data.
        if body.count(b'"data"') != 1 or b"\\" in body:
            return
        numbers = KnownNumbers.of(spec, array, body[begin:end])
        if numbers is not None:
            put(self._json, body[:begin] + body[end:], _JsonFrame(meaning, numbers))

    def _remember_binary(self, body: bytes, json_bytes: int, request: InferRequest, meaning: _Meaning) -> None:
        """Where all tensors are behind the JSON: those lie there in the order in which it names them."""
        if not 0 < json_bytes <= MAX_FRAME_BYTES:
            return
        at, tensors = json_bytes, []
        for item in parse_json(body[:json_bytes])["inputs"]:  # a byte order mark and NaN, as they were read
            size = (item.get("parameters") or {}).get("binary_data_size")
            spec = self._signature.input(item["name"])
            if size is None or spec is None:
                return
            tensors.append((spec, request.arrays[spec.name].shape, at, size))
            at += size
        put(self._binary, body[:json_bytes], _BinaryFrame(meaning, len(body), tuple(tensors)))


def _numbers_begin(body: bytes) -> int:
    """Where the bracket after the first `"data":` is, with a space before it or none; 0 without one."""
    at = body.find(_KEY) + len(_KEY)
    if at < len(_KEY):
        return 0
    if body[at : at + 1] == b"[":
        return at
    return at + 1 if body[at : at + 2] == b" [" else 0


def put(frames: dict[bytes, Frame], key: bytes, frame: Frame) -> None:
    """Remembers at most MAX_FRAMES."""
    if len(frames) >= MAX_FRAMES:  # frames that never come again mustn't keep the others out
        frames.clear()
    frames[key] = frame
