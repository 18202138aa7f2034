"""What a dialect is: a body to runs of the model, and their outputs to a body. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate_server.errors import InvalidRequest
from tidegate_server.predict.predictor import ParsedRequest, Predictor
from tidegate_server.protocol.json_codec import dump_json, parse_json
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.request import InferRequest
from tidegate_server.protocol.signature import Signature
from tidegate_server.protocol.tensors import Outputs


@dataclass(frozen=True)
class ServedModel:
    """All that a dialect may know."""

    name: str
    revision: str
    signature: Signature
    limits: Limits
    predictor: Predictor

    def read(self, document: Any) -> ParsedRequest:
        """A document as /predict takes it. Raises InvalidRequest."""
        return self.predictor.read(document, self.signature, self.limits)


@dataclass(frozen=True, slots=True)
class Call:
    """One body, understood: run all `requests`, perhaps none, then `write(outputs)` with the outputs in that order.

    `write` raises what `ParsedRequest.write` does.
    """

    requests: tuple[InferRequest, ...]
    write: Callable[[Sequence[Outputs]], bytes]


def error_field(status: int, sentence: str) -> bytes:
    """As everywhere on this server."""
    return dump_json({"error": sentence})


@dataclass(frozen=True)
class Dialect:
    """`read` takes the body and its content type without parameters, and raises InvalidRequest and nothing else.

    `write_error` takes HTTP's status and the sentence.
    """

    read: Callable[[bytes, str, ServedModel], Call]
    write_error: Callable[[int, str], bytes] = error_field


def json_object(body: bytes, wanted: str) -> dict[str, Any]:
    """`wanted` completes "the body must be …". Raises InvalidRequest."""
    document = parse_json(body)
    if not isinstance(document, dict):
        raise InvalidRequest(f"the body must be {wanted}")
    return document


def call_of(parsed: ParsedRequest, document: Callable[[list[Any]], Any]) -> Call:
    """The answer is `document` of what the predictor says of each row."""
    return Call(parsed.requests, lambda outputs: written(document(parsed.rows(outputs)), outputs))


def written(document: Any, outputs: Sequence[Outputs]) -> bytes:
    """As JSON; large arrays in pieces, between which others have their turn."""
    return dump_json(document, sum(array.size for each in outputs for array in each.values()))
