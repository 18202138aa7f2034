"""From the bytes of an inference request to the bytes of its response: the one way in for HTTP.

Small requests are handled on the event loop (`handle_on_loop`); the others in a thread that may wait
(`handle_blocking`). Both parse, write, count and reject with the same functions.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from time import perf_counter
from types import MappingProxyType
from typing import Any, NamedTuple

from tidegate_server.access.authenticator import Authenticator
from tidegate_server.access.principal import Principal
from tidegate_server.dialects.dialect import Dialect, ServedModel
from tidegate_server.dialects.table import NAME
from tidegate_server.errors import CallerLeft, InvalidRequest, NotAllowed, NotFiniteOutput, NotReady, ServerError
from tidegate_server.inference.service import Inference
from tidegate_server.metrics.statistics import VERSION
from tidegate_server.predict.known_bodies import KnownPredictBodies
from tidegate_server.protocol import v2
from tidegate_server.protocol.json_codec import parse_json
from tidegate_server.protocol.known_bodies import KnownBodies
from tidegate_server.protocol.prepared_answers import PreparedAnswers
from tidegate_server.protocol.request import InferRequest
from tidegate_server.protocol.tensors import Outputs
from tidegate_server.web.compression import MIN_COMPRESSED_BYTES, accepted_encoding, compressed, decompressed
from tidegate_server.web.error_responses import response_for
from tidegate_server.web.large_json import LargeJson
from tidegate_server.web.message import JSON, JSON_LENGTH, OCTETS, Request, Respond, Response
from tidegate_server.web.telemetry import RequestRecord, Telemetry

_REASONS: dict[type[Exception], str] = {
    InvalidRequest: "invalid",
    NotAllowed: "not_allowed",
    NotFiniteOutput: "not_finite",
    NotReady: "ending",
}
"""What the engine doesn't count itself."""

MAX_JSON_BYTES_ON_LOOP = 2**16
"""Parsing more would keep the event loop from everybody else for longer than a small run does."""
MAX_BINARY_BYTES_ON_LOOP = 2**22
MAX_JSON_VALUES_ON_LOOP, MAX_JSON_VALUES_AT_ONCE = 2**14, 2**20
"""Of a response: the first are written within two milliseconds; more than the second one at a time."""
SERVED_BY = "x-tidegate-served-by"
CREDENTIALS = (b"authorization", b"x-api-key")
V2, PREDICT, DIALECT = "v2", "predict", "dialect"


class _ParsedRequest(NamedTuple):
    """What to run, and how its outputs become the response."""

    requests: tuple[InferRequest, ...]
    write: Callable[[Sequence[Outputs]], Response]

    def is_small(self, results: Sequence[Any]) -> bool:
        """Whether its JSON is written within so little time that the event loop may do it."""
        values = 0
        for outputs in results:
            if outputs is not None and not isinstance(outputs, Exception):
                for array in outputs.values():
                    values += array.size
        # Most are small, whatever of it is JSON.
        return values <= MAX_JSON_VALUES_ON_LOOP or self.json_values(results) <= MAX_JSON_VALUES_ON_LOOP

    def json_values(self, results: Sequence[Any]) -> int:
        """How many have to be written as JSON."""
        count = 0
        for request, outputs in zip(self.requests, results, strict=False):  # one error may stand for all
            if outputs is not None and not isinstance(outputs, Exception):
                count += sum([outputs[output.name].size for output in request.outputs if not output.binary])
        return count


def _write_nothing(_outputs: Sequence[Outputs]) -> Response:
    raise AssertionError("nothing was parsed")


_NOTHING = _ParsedRequest((), _write_nothing)


class _Call:
    """One request on its way over the event loop, from its parsing to its response.

    An object and no closures: compiled, those hold one another, and with them the request's body, until somebody looks
    for garbage.
    """

    __slots__ = ("_handler", "_record", "_respond", "dialect", "parsed")

    def __init__(
        self, handler: "InferenceHandler", record: RequestRecord, dialect: Dialect | None, respond: Respond
    ) -> None:
        """`respond` is called once."""
        self._handler, self._record, self.dialect, self._respond = handler, record, dialect, respond
        self.parsed = _NOTHING

    def finish(self, response: Response) -> None:
        """Records it and responds."""
        response = response if self.dialect is None else _in_words_of(self.dialect, response)
        self._handler.end(self._record, response)
        self._respond(response)

    def done(self, result: Any, queue_seconds: float, run_seconds: float) -> None:
        """Its only run is over."""
        if isinstance(result, Exception):
            result = self._handler.explained(self.parsed.requests[0], result)
        self.all_done([result], queue_seconds, run_seconds)

    def all_done(self, results: list[Any], queue_seconds: float, run_seconds: float) -> None:
        """All of its runs are over; or there is an error among them."""
        record = self._record
        record.queue_seconds, record.run_seconds = queue_seconds, run_seconds
        self._handler.write_and_finish(self.parsed, results, record, self.finish)


class InferenceHandler:
    """`handle_on_loop` belongs to the loop's thread, `handle_blocking` to any other."""

    def __init__(
        self,
        inference: Inference,
        authenticator: Authenticator,
        telemetry: Telemetry,
        max_body_bytes: int,
        large_json: LargeJson,
        dialects: Mapping[str, Dialect] = MappingProxyType({}),
    ) -> None:
        """`max_body_bytes` bounds what a compressed body becomes; the connection bounds all others.

        `dialects` by path, in which NAME stands for the model's name.
        """
        self._large_json = large_json
        self._inference, self._authenticator, self._telemetry = inference, authenticator, telemetry
        self._max_body_bytes = max_body_bytes
        self._known_bodies = KnownBodies(inference.signature)
        self._known_predict_bodies = KnownPredictBodies(inference.signature)
        self._prepared_answers = PreparedAnswers(
            inference.name, inference.revision, inference.signature, inference.limits.not_finite
        )
        self._max_predict_bytes_on_loop = inference.predictor.max_loop_bytes
        served_by = (SERVED_BY, inference.revision)
        self._json_headers = (("content-type", JSON), served_by)
        self._binary_type = ("content-type", OCTETS)
        self._served_by = served_by
        name, revision = inference.name.encode(), inference.revision.encode()
        self.dialects = dialects
        self._dialects = {path.replace(NAME, inference.name).encode(): each for path, each in dialects.items()}
        self._model = ServedModel(
            inference.name, inference.revision, inference.signature, inference.limits, inference.predictor
        )
        self._routes = {
            b"/predict": PREDICT,
            b"/v2/models/%b/infer" % name: V2,
            b"/v2/models/%b/versions/%b/infer" % (name, revision): V2,
            b"/v2/models/%b/versions/%b/infer" % (name, VERSION.encode()): V2,
            **dict.fromkeys(self._dialects, DIALECT),
        }

    def knows(self, target: bytes) -> bool:
        """Whether a POST to it is for inference."""
        return target in self._routes

    def runs_on_loop(self, request: Request) -> bool:
        """Whether parsing it takes so little time that the event loop may do it."""
        if request.target not in self._routes or request.method != b"POST":
            return False
        headers = request.headers
        if b"content-encoding" in headers:
            return False
        size = len(request.body)
        if size <= MAX_JSON_BYTES_ON_LOOP:
            return size <= self._max_predict_bytes_on_loop or self._routes[request.target] == V2
        if size > MAX_BINARY_BYTES_ON_LOOP:
            return False
        length = headers.get(JSON_LENGTH)
        return length is not None and length.isdigit() and int(length) <= MAX_JSON_BYTES_ON_LOOP

    # --- on the event loop

    def handle_on_loop(self, request: Request, respond: Respond) -> None:
        """Calls `respond`, perhaps at once."""
        record = self._telemetry.begin(self._routes[request.target], request)
        call = _Call(self, record, self._dialects.get(request.target), respond)
        try:
            self._authenticate(record)
            call.parsed = parsed = self._parse(record.protocol, request, request.body, call.dialect)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a response
            call.finish(self._error_response(error))
            return
        record.requests = parsed.requests
        if len(parsed.requests) == 1:
            request.caller.when_left(self._inference.engine.submit(parsed.requests[0], call.done, record.traffic))
        elif parsed.requests:
            request.caller.when_left(self._inference.submit_all(parsed.requests, call.all_done, record.traffic))
        else:
            call.finish(self._write(parsed, (), record))

    def explained(self, request: InferRequest, error: Exception) -> Any:
        """What the client is told of an error of the run."""
        return self._inference.explained(request, error)

    def end(self, record: RequestRecord, response: Response) -> None:
        """Records it; the response goes out whatever happens here."""
        try:
            record.end(response)
        except Exception as error:  # noqa: BLE001 - what is recorded is worth less than the response
            self._write_failure(error)

    def write_and_finish(
        self, parsed: _ParsedRequest, results: Sequence[Any], record: RequestRecord, finish: Respond
    ) -> None:
        """A large response is written in a thread: others would wait for it."""
        try:
            is_small = parsed.is_small(results)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a response
            finish(self._error_response(error))
            return
        if is_small:
            finish(self._write(parsed, results, record))
            return
        self._inference.loop.run_in_executor(None, self._write_aside, parsed, results, record, finish)

    def _write_aside(
        self, parsed: _ParsedRequest, results: Sequence[Any], record: RequestRecord, finish: Respond
    ) -> None:
        response = _compressed(self._write_in_turn(parsed, results, record), record.request)
        with suppress(RuntimeError):  # the loop has ended: the drain's deadline came first
            self._inference.loop.call_soon_threadsafe(finish, response)

    # --- in a thread

    def handle_blocking(self, request: Request, protocol: str, dialect: Dialect | None = None) -> Response:
        """Waits for the run. The model and its version have been checked by the route."""
        record = self._telemetry.begin(protocol, request)
        try:
            self._authenticate(record)
            self._require_caller(request)
            parsed = self._parse_in_turn(protocol, request, self._decompressed_body(request), dialect)
            record.requests = parsed.requests
            results: Sequence[Outputs] = ()
            if parsed.requests:
                results, record.queue_seconds, record.run_seconds = self._inference.run_timed(
                    parsed.requests, record.traffic, request.caller
                )
            response = _compressed(self._write_in_turn(parsed, results, record), request)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a response
            response = self._error_response(error)
        response = response if dialect is None else _in_words_of(dialect, response)
        record.end(response)
        return response

    def _require_caller(self, request: Request) -> None:
        """Raises CallerLeft: it had to wait for this thread, and others do now."""
        if request.caller.has_left:
            self._inference.metrics.request_failed("cancelled")
            raise CallerLeft

    # --- requests that nobody parses

    def rejected(self, request: Request, response: Response) -> Response:
        """Counts an inference request that gets this response without having been parsed."""
        dialect = self._dialects.get(request.target)
        response = response if dialect is None else _in_words_of(dialect, response)
        self._telemetry.begin(self._routes.get(request.target, V2), request).end(response)
        return response

    def check_head(self, target: bytes, headers: dict[bytes, bytes]) -> Principal | Response:
        """Who sends a body, or the response that goes out before it is read."""
        try:
            return self._authenticator.check(_credentials(headers))
        except NotAllowed as error:
            if target in self._routes:
                self._inference.metrics.request_failed("not_allowed")
            return response_for(error)

    def receive_failed(self, target: bytes, headers: dict[bytes, bytes], response: Response) -> Response:
        """Counts a request for inference that couldn't be received to its end. `headers`: as far as they have come."""
        if target in self._routes:
            self.rejected(Request(b"POST", target, headers, b"", False, perf_counter()), response)
        return response.with_headers(self._served_by)

    # --- for both ways

    def _authenticate(self, record: RequestRecord) -> None:
        if not self._authenticator.is_open:
            request = record.request
            record.principal = request.principal or self._authenticator.check(_credentials(request.headers))

    def _parse_in_turn(self, protocol: str, request: Request, body: bytes, dialect: Dialect | None) -> _ParsedRequest:
        json_bytes = _json_bytes(request) if protocol == V2 else None
        if not self._large_json.needs_turn(body if json_bytes is None else memoryview(body)[:json_bytes]):
            return self._parse(protocol, request, body, dialect)
        with self._large_json.turn():
            self._require_caller(request)
            return self._parse(protocol, request, body, dialect)

    def _parse(self, protocol: str, request: Request, body: bytes, dialect: Dialect | None) -> _ParsedRequest:
        if dialect is not None:
            return self._parse_dialect(dialect, request, body)
        return self._parse_predict(body) if protocol == PREDICT else self._parse_v2(body, _json_bytes(request))

    def _parse_dialect(self, dialect: Dialect, request: Request, body: bytes) -> _ParsedRequest:
        content_type = (request.header(b"content-type") or "").partition(";")[0].strip().lower()
        call = dialect.read(body, content_type, self._model)
        return _ParsedRequest(call.requests, partial(self._write_dialect, call.write))

    def _write_dialect(self, write: Callable[[Sequence[Outputs]], bytes], outputs: Sequence[Outputs]) -> Response:
        return Response(200, write(outputs), self._json_headers)

    def _parse_v2(self, body: bytes, json_bytes: int | None) -> _ParsedRequest:
        inference = self._inference
        request = self._known_bodies.read(body, json_bytes)
        if request is None:
            request = v2.read_infer(body, json_bytes, inference.signature, inference.limits)
            self._known_bodies.remember(body, json_bytes, request)

        return _ParsedRequest((request,), partial(self._write_v2, request))

    def _write_v2(self, request: InferRequest, outputs: Sequence[Outputs]) -> Response:
        inference = self._inference
        written = self._prepared_answers.write(request, outputs[0]) or v2.write_infer(
            inference.name,
            inference.revision,
            request,
            outputs[0],
            inference.signature,
            inference.labels,
            inference.limits.not_finite,
        )
        if written.json_bytes is None:
            return Response(200, written.body, self._json_headers)
        length = ("inference-header-content-length", str(written.json_bytes))
        return Response(200, written.body, (self._binary_type, length, self._served_by))

    def _parse_predict(self, body: bytes) -> _ParsedRequest:
        inference = self._inference
        known = self._known_predict_bodies.read(body)
        parsed = known or inference.predictor.read(parse_json(body), inference.signature, inference.limits)
        if known is None:
            self._known_predict_bodies.remember(body, parsed)

        return _ParsedRequest(parsed.requests, partial(self._write_predict, parsed.write))

    def _write_predict(
        self, write: Callable[[str, str, Sequence[Outputs]], bytes], outputs: Sequence[Outputs]
    ) -> Response:
        return Response(200, write(self._inference.name, self._inference.revision, outputs), self._json_headers)

    def _write_in_turn(self, parsed: _ParsedRequest, results: Sequence[Any], record: RequestRecord) -> Response:
        if parsed.json_values(results) <= MAX_JSON_VALUES_AT_ONCE:
            return self._write(parsed, results, record)
        with self._large_json.turn():
            return self._write(parsed, results, record)

    def _write(self, parsed: _ParsedRequest, results: Sequence[Any], record: RequestRecord) -> Response:
        started = perf_counter()
        for result in results:
            if isinstance(result, Exception):
                return self._error_response(result)
        try:
            response = parsed.write(results)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a response
            return self._error_response(error)
        record.encode_seconds = perf_counter() - started
        return response

    def _error_response(self, error: Exception) -> Response:
        if (reason := _REASONS.get(type(error))) is not None:
            self._inference.metrics.request_failed(reason)
        if not isinstance(error, ServerError):
            self._write_failure(error)
        return response_for(error).with_headers(self._served_by)

    def _write_failure(self, error: Exception) -> None:
        self._inference.failures.write(f"{type(error).__name__} in the server itself: {error}", perf_counter())

    def _decompressed_body(self, request: Request) -> bytes:
        encoding = request.header(b"content-encoding")
        if encoding is None or encoding.strip().lower() == "identity":
            return request.body
        return decompressed(request.body, encoding, self._max_body_bytes)


def _in_words_of(dialect: Dialect, response: Response) -> Response:
    """An error as the dialect's clients read it; anything else as it is."""
    if response.status < 400:
        return response
    sentence = str(parse_json(response.body)["error"])
    return response._replace(body=dialect.write_error(response.status, sentence))


def _credentials(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): headers[name].decode("latin-1") for name in CREDENTIALS if name in headers}


def _json_bytes(request: Request) -> int | None:
    if JSON_LENGTH not in request.headers:
        return None
    text = request.headers[JSON_LENGTH].decode("latin-1")
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise InvalidRequest("inference-header-content-length must be the number of bytes of the JSON part")
    return int(text)


def _compressed(response: Response, request: Request) -> Response:
    if len(response.body) < MIN_COMPRESSED_BYTES or response.status != 200:
        return response
    encoding = accepted_encoding(request.header(b"accept-encoding") or "")
    if encoding is None:
        return response
    headers = (*response.headers, ("content-encoding", encoding), ("vary", "accept-encoding"))
    return Response(200, compressed(response.body, encoding), headers)
