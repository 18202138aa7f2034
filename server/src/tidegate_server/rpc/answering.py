"""From bytes to bytes: reads a message, has it answered, counts it, and turns every error into a status."""

import logging
from collections.abc import Callable, Iterator
from threading import Event
from time import perf_counter
from typing import Any, NoReturn, TypeAlias, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health_pb2

from tidegate_server.errors import InvalidRequest, Overloaded, ServerError
from tidegate_server.protocol.request import InferRequest, rows_of
from tidegate_server.rpc import open_inference_pb2 as pb
from tidegate_server.rpc.bodies import Bodies
from tidegate_server.rpc.calls import Calls
from tidegate_server.rpc.refusals import CLIENT_WENT_AWAY, Refusal, refusal_of
from tidegate_server.rpc.served import Served
from tidegate_server.rpc.streams import Streams
from tidegate_server.rpc.witness import CallWitness, SeenCall

log = logging.getLogger(__name__)

SERVICE = "inference.GRPCInferenceService"
HEALTH = "grpc.health.v1.Health"
LONGEST_HOLD_SECONDS = 1.0
_LONGEST_DEADLINE_SECONDS = 366 * 86_400
_OUR_FAULT = Refusal(grpc.StatusCode.INTERNAL, 500, "the server failed on this call")

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Asked = TypeVar("Asked", bound=Message)


class Answering:
    """`body_seconds`: how long a client may take to send a message."""

    def __init__(
        self,
        calls: Calls,
        served: Served,
        bodies: Bodies,
        streams: Streams,
        body_seconds: float,
        witness: CallWitness | None = None,
    ) -> None:
        self._calls, self._served, self._witness = calls, served, witness
        self._bodies, self._streams, self._body_seconds = bodies, streams, body_seconds
        self._draining = False
        self._may_leave = Event()
        self._may_leave.set()

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        calls = self._calls
        methods = {
            "ServerLive": self._asking(pb.ServerLiveRequest, calls.server_live),
            "ServerReady": self._asking(pb.ServerReadyRequest, calls.server_ready),
            "ModelReady": self._asking(pb.ModelReadyRequest, calls.model_ready),
            "ServerMetadata": self._asking(pb.ServerMetadataRequest, calls.server_metadata),
            "ModelMetadata": self._asking(pb.ModelMetadataRequest, calls.model_metadata),
            "ModelConfig": self._asking(pb.ModelConfigRequest, calls.model_config),
            "ModelStatistics": self._asking(pb.ModelStatisticsRequest, calls.model_statistics),
            "ModelInfer": self._unary(self._infer),
            "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(self._stream),
        }
        # Watch isn't offered: clients take that for "always healthy", and watchers would pile up in memory.
        health = {"Check": self._asking(health_pb2.HealthCheckRequest, self._health)}
        return [
            grpc.method_handlers_generic_handler(SERVICE, methods),
            grpc.method_handlers_generic_handler(HEALTH, health),
        ]

    def begin_drain(self) -> None:
        self._draining = True

    def hold_answers(self) -> None:
        """Whoever waits for an answer asks nothing else meanwhile."""
        self._may_leave.clear()

    def let_answers_go(self) -> None:
        self._may_leave.set()

    def _health(self, asked: health_pb2.HealthCheckRequest) -> health_pb2.HealthCheckResponse:
        if asked.service not in ("", SERVICE):
            raise InvalidRequest(f"there is no service {asked.service!r}; ask for {SERVICE} or for none", status=404)
        serving = self._served.ready() and not self._draining
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        return health_pb2.HealthCheckResponse(status=status)

    def _unary(self, answer: Callable[[bytes, grpc.ServicerContext], bytes]) -> Handler:
        """A stream of one message: the library reads that of a unary call itself, and waits for it for ever."""

        def handle(bodies: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            body = self._bodies.next_of(bodies, context, self._body_seconds)
            if body is None:
                _abort(context, refusal_of(InvalidRequest("the call ended without a message")))
            return answer(body, context)

        return grpc.stream_unary_rpc_method_handler(handle)

    def _asking(self, kind: type[Asked], answer: Callable[[Asked], Message]) -> Handler:
        def handle(body: bytes, context: grpc.ServicerContext) -> bytes:
            try:
                return answer(_parsed(kind, body)).SerializeToString()
            except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a status
                _abort(context, _refusal(error))

        return self._unary(handle)

    def _infer(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        answer = self._counted(body, context)
        self._may_leave.wait(LONGEST_HOLD_SECONDS)
        if isinstance(answer, Refusal):
            _abort(context, answer)
        return answer.SerializeToString()

    def _stream(self, bodies: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        try:
            with self._streams.place():
                while (body := self._streams.next_of(bodies, context)) is not None:
                    yield _in_stream(self._counted(body, context)).SerializeToString()
        except Overloaded as error:
            _abort(context, refusal_of(error))

    def _counted(self, body: bytes, context: grpc.ServicerContext) -> pb.ModelInferResponse | Refusal:
        metrics = self._served.metrics
        started = perf_counter()
        metrics.began()
        seen = None if self._witness is None else self._witness.begin(context)
        answer, http, encode_seconds = self._answer(body, context, seen)
        if not context.is_active():
            http = CLIENT_WENT_AWAY
        seconds = perf_counter() - started
        metrics.answered("grpc", http, seconds, encode_seconds)
        if seen is not None:
            bytes_out = 0 if isinstance(answer, Refusal) else answer.ByteSize()
            seen.end(http, seconds, encode_seconds=encode_seconds, bytes_in=len(body), bytes_out=bytes_out)
        return answer

    def _answer(
        self, body: bytes, context: grpc.ServicerContext, seen: SeenCall | None
    ) -> tuple[pb.ModelInferResponse | Refusal, int, float]:
        """The answer, its status over HTTP, and the seconds that writing it took."""
        try:
            request = self._read(body, context)
            if seen is not None:
                seen.rows = rows_of(request)
            outputs = self._calls.run(request)
            begun = perf_counter()
            return self._calls.write(request, outputs), 200, perf_counter() - begun
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a status and the call is counted
            refusal = _refusal(error)
            return refusal, refusal.http, 0.0

    def _read(self, body: bytes, context: grpc.ServicerContext) -> InferRequest:
        try:
            return self._calls.read(_parsed(pb.ModelInferRequest, body), _seconds_left(context))
        except InvalidRequest:
            self._served.metrics.failed("invalid")
            raise


def _seconds_left(context: grpc.ServicerContext) -> float | None:
    # Without a deadline the library counts down from the end of time.
    seconds = context.time_remaining()
    return seconds if seconds < _LONGEST_DEADLINE_SECONDS else None


def _parsed(kind: type[Asked], body: bytes) -> Asked:
    try:
        return kind.FromString(body)
    except DecodeError:
        raise InvalidRequest(f"the message isn't a {kind.DESCRIPTOR.name}; is the client's protocol newer?") from None


def _refusal(error: Exception) -> Refusal:
    if isinstance(error, ServerError):
        return refusal_of(error)
    log.error("a call failed in the server itself", exc_info=error)
    return _OUR_FAULT


def _in_stream(answer: pb.ModelInferResponse | Refusal) -> pb.ModelStreamInferResponse:
    if isinstance(answer, Refusal):
        return pb.ModelStreamInferResponse(error_message=answer.sentence)
    # Every request has one answer, and clients that can take several ask which is the last.
    answer.parameters["triton_final_response"].bool_param = True
    return pb.ModelStreamInferResponse(infer_response=answer)


def _abort(context: grpc.ServicerContext, refusal: Refusal) -> NoReturn:
    if refusal.retry_milliseconds is not None:
        context.set_trailing_metadata((("grpc-retry-pushback-ms", str(refusal.retry_milliseconds)),))
    context.abort(refusal.code, refusal.sentence)
