"""How a body of /predict becomes runs of the model, and their outputs become one answer. Pure.

A predictor is chosen once, when the model's folder is opened, and then shared by all threads. Most bodies are one
run; texts of different lengths can be several. What the response to one body needs travels in its `ParsedRequest`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.predict_json import (
    Wording,
    read_predict,
    row_values,
    wants_rows,
    write_predict,
    write_rows,
)
from tidegate_server.protocol.request import InferRequest
from tidegate_server.protocol.signature import Signature
from tidegate_server.protocol.tensors import Outputs


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """One body, understood: run all `requests`, then `write(model, revision, outputs)` with the outputs in that order.

    `write` gives the JSON of the response. It raises NotFiniteOutput, ModelFailed for outputs of a shape that the
    signature didn't promise, and InvalidRequest for outputs that can't be given in the form that was asked for.
    """

    requests: tuple[InferRequest, ...]
    write: Callable[[str, str, Sequence[Outputs]], bytes]
    rows: Callable[[Sequence[Outputs]], list[Any]]
    """What `write` says of each row, ready for JSON: for whoever writes another form around it. Raises the same."""
    tokens: Callable[[], int] = lambda: 0
    """How many tokens the model reads; none where it takes no texts, or cuts them itself."""


MAX_LOOP_BYTES = 2**16
"""For bodies of tensors."""


class Predictor(Protocol):
    """Any thread may use it."""

    @property
    def body_schemas(self) -> Sequence[Mapping[str, Any]]:
        """JSON Schemas of the bodies that it understands beside the model's own tensors."""
        ...

    @property
    def max_loop_bytes(self) -> int:
        """A body of so many bytes is read fast enough for an event loop that others wait for."""
        ...

    def read(self, document: Any, signature: Signature, limits: Limits) -> ParsedRequest:
        """`document` is any JSON value. Raises InvalidRequest, and nothing else.

        What `write` and `rows` do depends on names and shapes; of the numbers in tensors they know nothing.
        """
        ...

    def example(self, signature: Signature) -> Any:
        """A body that this predictor understands, or None where only the model's owner knows one."""
        ...


class PlainPredictor:
    """Tensors in, tensors out: the predictor of a model without a tokenizer and without labels."""

    max_loop_bytes = MAX_LOOP_BYTES
    body_schemas = ()

    def read(self, document: Any, signature: Signature, limits: Limits) -> ParsedRequest:
        """One run. Raises InvalidRequest."""
        request = read_predict(document, signature, limits)
        write = output_writer(document, request, signature, limits)
        return ParsedRequest((request,), write, partial(_output_rows, request.rows, _wording(signature, limits)))

    def example(self, signature: Signature) -> Any:
        """None: only the model's owner knows one."""
        return None


def _output_rows(rows: int, wording: Wording, outputs: Sequence[Outputs]) -> list[Any]:
    """Of a single run's tensors."""
    (only,) = outputs
    return row_values(only, rows, wording)


def _wording(signature: Signature, limits: Limits) -> Wording:
    return Wording(signature.output_classes, limits.not_finite)


def output_writer(
    document: Any, request: InferRequest, signature: Signature, limits: Limits
) -> Callable[[str, str, Sequence[Outputs]], bytes]:
    """Encodes the tensors of a single run in the form that `document` wants."""
    wording, rows = _wording(signature, limits), request.rows
    if wants_rows(document):
        return lambda model, revision, outputs: write_rows(model, revision, outputs[0], rows, wording)
    return lambda model, revision, outputs: write_predict(model, revision, outputs[0], wording)
