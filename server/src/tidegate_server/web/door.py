"""From the bytes of an inference request to the bytes of its answer: the one way in for HTTP.

Small requests are answered in the event loop (`begin`); the others in a thread that may wait (`answer`). Both read,
write, count and refuse with the same functions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from tidegate_server.access.guard import Guard
from tidegate_server.errors import InvalidRequest, NotAllowed, NotFiniteOutput, NotReady, ServerError
from tidegate_server.inference.service import Inference
from tidegate_server.protocol import v2
from tidegate_server.protocol.document import parse_json
from tidegate_server.protocol.request import InferRequest, rows_of
from tidegate_server.protocol.tensors import Array
from tidegate_server.web.encoding import WORTH_COMPRESSING, accepted_encoding, compressed, decompressed
from tidegate_server.web.exchange import Exchange, Witnesses
from tidegate_server.web.message import JSON, OCTETS, Answer, Request
from tidegate_server.web.refusals import refused

_REASONS: dict[type[Exception], str] = {
    InvalidRequest: "invalid",
    NotAllowed: "not_allowed",
    NotFiniteOutput: "not_finite",
    NotReady: "ending",
}
"""What the engine doesn't count itself."""

Respond = Callable[[Answer], None]
Outputs = Mapping[str, Array]

HOT_JSON_BYTES = 2**16
"""Parsing more would keep the event loop from everybody else for longer than a small run does."""
HOT_BINARY_BYTES = 2**22
SERVED_BY = "x-tidegate-served-by"
JSON_LENGTH = b"inference-header-content-length"
V2, PREDICT = "v2", "predict"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What to run, and how its outputs become the answer."""

    requests: tuple[InferRequest, ...]
    write: Callable[[Sequence[Outputs]], Answer]

    @property
    def rows(self) -> int:
        return sum([rows_of(request) for request in self.requests])


class InferenceDoor:
    """`begin` belongs to the loop's thread, `answer` to any other."""

    def __init__(self, inference: Inference, guard: Guard, witnesses: Witnesses, max_body_bytes: int) -> None:
        self._inference, self._guard, self._witnesses = inference, guard, witnesses
        self._max_body_bytes = max_body_bytes
        self._quick_bytes = inference.predictor.quick_bytes
        served_by = (SERVED_BY, inference.revision)
        self._json_headers = (("content-type", JSON), served_by)
        self._binary_type = ("content-type", OCTETS)
        self._served_by = (served_by,)
        name, revision = inference.name.encode(), inference.revision.encode()
        self._routes = {
            b"/predict": PREDICT,
            b"/v2/models/%b/infer" % name: V2,
            b"/v2/models/%b/versions/%b/infer" % (name, revision): V2,
        }

    def is_hot(self, request: Request) -> bool:
        """Whether reading it takes so little time that the event loop may do it."""
        if request.target not in self._routes or request.method != b"POST":
            return False
        headers = request.headers
        if b"content-encoding" in headers:
            return False
        size = len(request.body)
        if size <= HOT_JSON_BYTES:
            return size <= self._quick_bytes or self._routes[request.target] != PREDICT
        length = headers.get(JSON_LENGTH)
        return length is not None and size <= HOT_BINARY_BYTES and length.isdigit() and int(length) <= HOT_JSON_BYTES

    # --- in the event loop

    def begin(self, request: Request, respond: Respond) -> None:
        """Answers through `respond`, perhaps at once."""
        inference = self._inference
        exchange = self._witnesses.begin(self._routes[request.target], request)

        def finish(answer: Answer) -> None:
            exchange.end(answer)
            respond(answer)

        try:
            self._check_caller(exchange)
            asked = self._read(exchange.protocol, request, request.body)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            finish(self._refusal(error))
            return
        exchange.rows = asked.rows
        if len(asked.requests) > 1:
            _submit_all(inference, asked.requests, lambda results: finish(self._written(asked, results, exchange)))
            return

        def done(result: Any, queue_seconds: float, run_seconds: float) -> None:
            exchange.queue_seconds, exchange.run_seconds = queue_seconds, run_seconds
            finish(self._written(asked, (result,), exchange))

        inference.submit(asked.requests[0], done)

    # --- in a thread

    def answer(self, request: Request, protocol: str) -> Answer:
        """Waits for the run. The model and its version have been checked by the route."""
        exchange = self._witnesses.begin(protocol, request)
        try:
            self._check_caller(exchange)
            asked = self._read(protocol, request, self._plain_body(request))
            exchange.rows = asked.rows
            results = []
            for one in asked.requests:
                outputs, queue_seconds, run_seconds = self._inference.run_timed(one)
                exchange.queue_seconds += queue_seconds
                exchange.run_seconds += run_seconds
                results.append(outputs)
            answer = _compressed(self._written(asked, results, exchange), request)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            answer = self._refusal(error)
        exchange.end(answer)
        return answer

    def turned_away(self, request: Request, answer: Answer) -> Answer:
        """Tells the witnesses of an inference request that was refused before anybody read it."""
        self._witnesses.begin(self._routes.get(request.target, V2), request).end(answer)
        return answer

    def refused(self, target: bytes, answer: Answer) -> Answer:
        """Counts an inference request that couldn't be received to its end."""
        protocol = self._routes.get(target)
        if protocol is not None:
            request = Request(b"POST", target, {}, b"", False, perf_counter())
            self._witnesses.begin(protocol, request).end(answer)
        return Answer(answer.status, answer.body, (*answer.headers, *self._served_by))

    # --- both

    def _check_caller(self, exchange: Exchange) -> None:
        if not self._guard.is_open:
            exchange.caller = self._guard.check(exchange.request.text_headers())

    def _read(self, protocol: str, request: Request, body: bytes) -> _Asked:
        inference = self._inference
        if protocol == PREDICT:
            return self._read_predict(body)
        asked = v2.read_infer(body, _json_bytes(request), inference.signature, inference.limits)

        def write(outputs: Sequence[Outputs]) -> Answer:
            written = v2.write_infer(
                inference.name, inference.revision, asked, outputs[0], inference.signature, inference.labels
            )
            if written.json_bytes is None:
                return Answer(200, written.body, self._json_headers)
            length = ("inference-header-content-length", str(written.json_bytes))
            return Answer(200, written.body, (self._binary_type, length, *self._served_by))

        return _Asked((asked,), write)

    def _read_predict(self, body: bytes) -> _Asked:
        inference = self._inference
        asked = inference.predictor.read(parse_json(body), inference.signature, inference.limits)

        def write(outputs: Sequence[Outputs]) -> Answer:
            return Answer(200, asked.write(inference.name, inference.revision, outputs), self._json_headers)

        return _Asked(asked.requests, write)

    def _written(self, asked: _Asked, results: Sequence[Any], exchange: Exchange) -> Answer:
        started = perf_counter()
        for result in results:
            if isinstance(result, Exception):
                return self._refusal(result)
        try:
            answer = asked.write(results)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            return self._refusal(error)
        exchange.encode_seconds = perf_counter() - started
        return answer

    def _refusal(self, error: Exception) -> Answer:
        answer = refused(error)
        if (reason := _REASONS.get(type(error))) is not None:
            self._inference.metrics.failed(reason)
        if not isinstance(error, ServerError):
            self._inference.failures.write(f"{type(error).__name__} in the server itself: {error}", perf_counter())
        return Answer(answer.status, answer.body, (*answer.headers, *self._served_by))

    def _plain_body(self, request: Request) -> bytes:
        encoding = request.header(b"content-encoding")
        if encoding is None or encoding.strip().lower() == "identity":
            return request.body
        return decompressed(request.body, encoding, self._max_body_bytes)


def _submit_all(inference: Inference, requests: Sequence[InferRequest], done: Callable[[list[Any]], None]) -> None:
    """`done` once, when the last of them is back."""
    results: list[Any] = [None] * len(requests)
    left = len(requests)

    def taker(position: int) -> Callable[[Any, float, float], None]:
        def take(result: Any, _queue_seconds: float, _run_seconds: float) -> None:
            nonlocal left
            results[position] = result
            left -= 1
            if not left:
                done(results)

        return take

    for position, request in enumerate(requests):
        inference.submit(request, taker(position))


def _json_bytes(request: Request) -> int | None:
    text = request.header(JSON_LENGTH)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise InvalidRequest("inference-header-content-length must be the number of bytes of the JSON part")
    return int(text)


def _compressed(answer: Answer, request: Request) -> Answer:
    if len(answer.body) < WORTH_COMPRESSING or answer.status != 200:
        return answer
    encoding = accepted_encoding(request.header(b"accept-encoding") or "")
    if encoding is None:
        return answer
    headers = (*answer.headers, ("content-encoding", encoding), ("vary", "accept-encoding"))
    return Answer(answer.status, compressed(answer.body, encoding), headers)
