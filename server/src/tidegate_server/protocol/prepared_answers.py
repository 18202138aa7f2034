"""Answers of the protocol of which nothing but shapes and numbers is new: the rest is bytes already. Pure.

They are, byte for byte, what `v2.write_infer` writes. Whatever isn't numbers alone is left to it: text, classes by
name, many numbers at once, and NaN where it may not go out as it is.
"""

from dataclasses import dataclass
from functools import lru_cache

from tidegate_server.protocol.binary import bytes_from_array
from tidegate_server.protocol.json_codec import NUMBERS_AT_ONCE, dump_json
from tidegate_server.protocol.limits import NotFinite
from tidegate_server.protocol.request import InferRequest, RequestedOutput, known_output
from tidegate_server.protocol.signature import Signature
from tidegate_server.protocol.tensors import Outputs
from tidegate_server.protocol.v2 import EncodedResponse

MAX_KINDS = 64


@dataclass(frozen=True, slots=True)
class _OutputFrame:
    """`begin`: the tensor up to its shape."""

    name: str
    datatype: str
    binary: bool
    begin: bytes


@dataclass(frozen=True, slots=True)
class _Kind:
    """Requests for the same outputs. `outputs` keeps the tuple that it is known by."""

    outputs: tuple[RequestedOutput, ...]
    frames: tuple[_OutputFrame, ...]
    """None of them where they aren't all numbers."""


class PreparedAnswers:
    """Of one model. Any thread may use it."""

    def __init__(self, model: str, version: str, signature: Signature, not_finite: NotFinite) -> None:
        """None yet."""
        self._signature, self._allows_null = signature, not_finite == "null"
        self._begin = b'{"model_name":%b,"model_version":%b,"outputs":[' % (dump_json(model), dump_json(version))
        self._kinds: dict[int, _Kind] = {}

    def write(self, request: InferRequest, outputs: Outputs) -> EncodedResponse | None:
        """What `v2.write_infer` would give; None where that has to be asked."""
        tensors: list[bytes] = []
        binaries: list[bytes | memoryview] = []
        frames = self._frames(request.outputs)
        for frame in frames:
            array = outputs[frame.name]
            if frame.binary:
                binaries.append(bytes_from_array(array, frame.datatype))
                shape, size = _shape(array.shape), len(binaries[-1])
                tensors.append(b'%b%b,"parameters":{"binary_data_size":%d}}' % (frame.begin, shape, size))
                continue
            if array.size > NUMBERS_AT_ONCE:
                return None
            numbers = dump_json(array.ravel())
            if b"null" in numbers and not self._allows_null:
                return None
            tensors.append(b'%b%b,"data":%b}' % (frame.begin, _shape(array.shape), numbers))
        if not frames:
            return None
        end = b"]}" if request.id is None else b'],"id":%b}' % dump_json(request.id)
        head = b"%b%b%b" % (self._begin, b",".join(tensors), end)
        return EncodedResponse(b"".join((head, *binaries)), len(head)) if binaries else EncodedResponse(head, None)

    def _frames(self, outputs: tuple[RequestedOutput, ...]) -> tuple[_OutputFrame, ...]:
        """By the tuple itself: readers give the same one again, and to look it up by what is in it takes longer."""
        kind = self._kinds.get(id(outputs))
        if kind is None:
            if len(self._kinds) >= MAX_KINDS:
                self._kinds.clear()
            kind = self._kinds[id(outputs)] = _Kind(outputs, self._made(outputs))
        return kind.frames

    def _made(self, outputs: tuple[RequestedOutput, ...]) -> tuple[_OutputFrame, ...]:
        specs = [known_output(output.name, self._signature) for output in outputs]
        if any(output.classes for output in outputs) or any(spec.datatype == "BYTES" for spec in specs):
            return ()
        return tuple(
            _OutputFrame(spec.name, spec.datatype, output.binary, _begin(spec.name, spec.datatype))
            for output, spec in zip(outputs, specs, strict=True)
        )


def _begin(name: str, datatype: str) -> bytes:
    return b'{"name":%b,"datatype":"%b","shape":' % (dump_json(name), datatype.encode())


@lru_cache(maxsize=1024)
def _shape(shape: tuple[int, ...]) -> bytes:
    return dump_json(shape)
