"""From bytes to bytes: parses a message, calls the servicer, counts the call, and maps every error to a status."""

import logging
from collections.abc import Callable, Iterator
from threading import Event
from time import perf_counter
from typing import Any, NoReturn, TypeAlias, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

from tidegate_server.access.authenticator import Authenticator
from tidegate_server.errors import InvalidRequest, NotAllowed, Overloaded, ServerError
from tidegate_server.held_bytes import HeldBytes
from tidegate_server.inference.caller import Caller
from tidegate_server.inference.service import Inference
from tidegate_server.protocol.request import InferRequest
from tidegate_server.rpc import open_inference_pb2 as pb
from tidegate_server.rpc.call_log import RpcRecord, RpcTelemetry, text_metadata, traffic_of
from tidegate_server.rpc.held_messages import HeldMessages
from tidegate_server.rpc.receive_timeouts import ReceiveTimeouts
from tidegate_server.rpc.reflection import described
from tidegate_server.rpc.service_names import HEALTH_SERVICE, INFERENCE_SERVICE, REFLECTION_SERVICES
from tidegate_server.rpc.servicer import Servicer
from tidegate_server.rpc.status import CLIENT_CLOSED_REQUEST, ErrorStatus, status_of
from tidegate_server.rpc.stream_limiter import StreamLimiter

log = logging.getLogger(__name__)

MAX_HOLD_SECONDS = 1.0
_MAX_DEADLINE_SECONDS = 366 * 86_400
_INTERNAL_ERROR = ErrorStatus(grpc.StatusCode.INTERNAL, 500, "the server failed on this call")

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
RequestMessage = TypeVar("RequestMessage", bound=Message)


class RpcHandlers:
    """The handlers of both services, which share a servicer."""

    def __init__(
        self,
        servicer: Servicer,
        inference: Inference,
        authenticator: Authenticator,
        timeouts: ReceiveTimeouts,
        stream_limiter: StreamLimiter,
        held: HeldBytes,
        body_seconds: float,
        telemetry: RpcTelemetry | None = None,
    ) -> None:
        """`body_seconds`: how long a client may take to send a message, or to take one in."""
        self._servicer, self._inference, self._telemetry = servicer, inference, telemetry
        self._authenticator, self._held = authenticator, HeldMessages(held, timeouts, body_seconds)
        self._timeouts, self._stream_limiter, self._body_seconds = timeouts, stream_limiter, body_seconds
        self._draining = False
        self._responses_released = Event()
        self._responses_released.set()

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """One for each service."""
        servicer = self._servicer
        methods = {
            "ServerLive": self._message_handler(pb.ServerLiveRequest, servicer.server_live),
            "ServerReady": self._message_handler(pb.ServerReadyRequest, servicer.server_ready),
            "ModelReady": self._message_handler(pb.ModelReadyRequest, servicer.model_ready),
            "ServerMetadata": self._message_handler(pb.ServerMetadataRequest, servicer.server_metadata),
            "ModelMetadata": self._message_handler(pb.ModelMetadataRequest, servicer.model_metadata),
            "ModelConfig": self._message_handler(pb.ModelConfigRequest, servicer.model_config),
            "ModelStatistics": self._message_handler(pb.ModelStatisticsRequest, servicer.model_statistics),
            "RepositoryIndex": self._message_handler(pb.RepositoryIndexRequest, servicer.repository_index),
            "ModelInfer": self._unary_handler(self._infer),
            "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(self._stream),
        }
        # Watch isn't offered: clients take that for "always healthy", and watchers would pile up in memory.
        health = {"Check": self._message_handler(health_pb2.HealthCheckRequest, self._health)}
        reflection: dict[str, Handler] = {"ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(self._reflect)}
        return [
            grpc.method_handlers_generic_handler(INFERENCE_SERVICE, methods),
            grpc.method_handlers_generic_handler(HEALTH_SERVICE, health),
            *(grpc.method_handlers_generic_handler(service, reflection) for service in REFLECTION_SERVICES),
        ]

    def begin_drain(self) -> None:
        """Health says NOT_SERVING from now on."""
        self._draining = True

    def hold_responses(self) -> None:
        """Until they are released: a client that waits for a response sends nothing else meanwhile."""
        self._responses_released.clear()

    def release_responses(self) -> None:
        """Sends what is held, and holds nothing more."""
        self._responses_released.set()

    def _health(self, request: health_pb2.HealthCheckRequest) -> health_pb2.HealthCheckResponse:
        model = self._inference.name
        if request.service not in ("", INFERENCE_SERVICE, model):
            sentence = f"there is no service {request.service!r}; ask for {INFERENCE_SERVICE}, for {model} or for none"
            raise InvalidRequest(sentence, status=404)
        serving = self._inference.ready() and not self._draining
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        return health_pb2.HealthCheckResponse(status=status)

    def _unary_handler(self, handle_body: Callable[[bytes, grpc.ServicerContext], bytes]) -> Handler:
        """A stream of one message: the library reads that of a unary call itself, and waits for it for ever."""

        def handle(messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            try:
                body = self._timeouts.first_message(messages, context, self._body_seconds)
            except Overloaded as error:
                _abort(context, status_of(error))
            if body is None:
                _abort(context, status_of(InvalidRequest("the call ended without a message")))
            return handle_body(body, context)

        return grpc.stream_unary_rpc_method_handler(handle)

    def _message_handler(self, kind: type[RequestMessage], call: Callable[[RequestMessage], Message]) -> Handler:
        def handle(body: bytes, context: grpc.ServicerContext) -> bytes:
            try:
                return call(_parse(kind, body)).SerializeToString()
            except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a status
                _abort(context, _status_of(error))

        return self._unary_handler(handle)

    def _infer(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            with self._held.request(body):
                response = self._recorded(body, context, self._caller(context))
            self._responses_released.wait(MAX_HOLD_SECONDS)
            if isinstance(response, ErrorStatus):
                _abort(context, response)
            encoded = response.SerializeToString()
            self._held.last_response(encoded, context)
        except Overloaded as error:
            _abort(context, status_of(error))
        return encoded

    def _stream(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        caller = self._caller(context)
        try:
            with self._stream_limiter.slot():
                while (body := self._stream_limiter.next_message(messages, context)) is not None:
                    self._check_key(context)
                    with self._held.request(body):
                        response = _stream_response(self._recorded(body, context, caller)).SerializeToString()
                    with self._held.response(response, context):
                        yield response
        except (Overloaded, NotAllowed) as error:
            _abort(context, status_of(error))

    def _reflect(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        """What the services look like, for tools that were told nothing. A stream as any other: few, and not idle."""
        try:
            with self._stream_limiter.slot():
                while (body := self._stream_limiter.next_message(messages, context)) is not None:
                    yield described(_parse(ServerReflectionRequest, body)).SerializeToString()
        except ServerError as error:
            _abort(context, status_of(error))

    def _check_key(self, context: grpc.ServicerContext) -> None:
        """Raises NotAllowed: a stream may last longer than the key that it was opened with."""
        if not self._authenticator.is_open:
            self._authenticator.check(text_metadata(context.invocation_metadata()))

    def _caller(self, context: grpc.ServicerContext) -> Caller:
        """Leaves when the call is cancelled, or past the client's deadline."""
        caller = Caller()
        context.add_callback(lambda: self._inference.left(caller))
        return caller

    def _recorded(
        self, body: bytes, context: grpc.ServicerContext, caller: Caller
    ) -> pb.ModelInferResponse | ErrorStatus:
        metrics = self._inference.metrics
        started, traffic = perf_counter(), traffic_of(context, self._inference.unmarked)
        metrics.request_started()
        record = None if self._telemetry is None else self._telemetry.begin(context)
        response, http_status, encode_seconds = self._run(body, context, record, caller, traffic)
        if not context.is_active():
            http_status = CLIENT_CLOSED_REQUEST
        seconds = perf_counter() - started
        metrics.request_finished("grpc", http_status, seconds, encode_seconds, traffic)
        if record is not None:
            answered = None if isinstance(response, ErrorStatus) else response
            bytes_out = 0 if answered is None else answered.ByteSize()
            record.end(http_status, seconds, encode_seconds=encode_seconds, bytes_in=len(body), bytes_out=bytes_out)
            record.log_bodies(http_status, seconds, body, answered)
        return response

    def _run(
        self, body: bytes, context: grpc.ServicerContext, record: RpcRecord | None, caller: Caller, traffic: str
    ) -> tuple[pb.ModelInferResponse | ErrorStatus, int, float]:
        """The response, its status over HTTP, and the seconds that encoding it took."""
        try:
            request = self._parse_infer(body, context)
            if record is not None:
                record.rows = request.rows
            outputs = self._servicer.run(request, caller, traffic)
            encode_started = perf_counter()
            return self._servicer.encode(request, outputs), 200, perf_counter() - encode_started
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a status and the call is counted
            status = _status_of(error)
            return status, status.http, 0.0

    def _parse_infer(self, body: bytes, context: grpc.ServicerContext) -> InferRequest:
        try:
            return self._servicer.parse(_parse(pb.ModelInferRequest, body), _seconds_left(context))
        except InvalidRequest:
            self._inference.metrics.request_failed("invalid")
            raise


def _seconds_left(context: grpc.ServicerContext) -> float | None:
    # Without a deadline the library counts down from the end of time.
    seconds = context.time_remaining()
    return seconds if seconds < _MAX_DEADLINE_SECONDS else None


def _parse(kind: type[RequestMessage], body: bytes) -> RequestMessage:
    try:
        return kind.FromString(body)
    except DecodeError:
        raise InvalidRequest(f"the message isn't a {kind.DESCRIPTOR.name}; is the client's protocol newer?") from None


def _status_of(error: Exception) -> ErrorStatus:
    if isinstance(error, ServerError):
        return status_of(error)
    log.error("a call failed in the server itself", exc_info=error)
    return _INTERNAL_ERROR


def _stream_response(response: pb.ModelInferResponse | ErrorStatus) -> pb.ModelStreamInferResponse:
    if isinstance(response, ErrorStatus):
        return pb.ModelStreamInferResponse(error_message=response.sentence)
    # Every request has one response, and clients that can take several ask which is the last.
    response.parameters["triton_final_response"].bool_param = True
    return pb.ModelStreamInferResponse(infer_response=response)


def _abort(context: grpc.ServicerContext, status: ErrorStatus) -> NoReturn:
    if status.retry_milliseconds is not None:
        context.set_trailing_metadata((("grpc-retry-pushback-ms", str(status.retry_milliseconds)),))
    context.abort(status.code, status.sentence)
