"""What the access log and the trace hear of a call."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc

from tidegate_server.access_log import AccessLog
from tidegate_server.errors import NotAllowed
from tidegate_server.rpc.served import Guard
from tidegate_server.tracing import ServerSpan, Tracing

METHOD = "/inference.GRPCInferenceService/ModelInfer"


@dataclass(frozen=True)
class CallWitness:
    """Any thread may call it."""

    access_log: AccessLog
    tracing: Tracing
    guard: Guard

    def begin(self, context: grpc.ServicerContext) -> "SeenCall":
        metadata = texts_of(context.invocation_metadata())
        span = self.tracing.begin(metadata.get("traceparent"), metadata.get("tracestate"), name="grpc")
        return SeenCall(self, span, metadata)


@dataclass(slots=True)
class SeenCall:
    """One inference; `end` is called once."""

    _witness: CallWitness
    _span: ServerSpan
    _metadata: Mapping[str, str]
    rows: int = 0

    def end(self, http: int, seconds: float, *, encode_seconds: float, bytes_in: int, bytes_out: int) -> None:
        """`http` as the metrics count it."""
        self._span.end("grpc", http, rows=self.rows, encode_seconds=encode_seconds)
        if self._witness.access_log.wants(http):
            self._witness.access_log.write(
                "gRPC",
                METHOD,
                http,
                seconds,
                bytes_in=bytes_in,
                bytes_out=bytes_out,
                rows=self.rows,
                trace_id=self._span.trace_id,
                caller=self._caller(),
            )

    def _caller(self) -> str:
        try:
            return str(getattr(self._witness.guard.check(self._metadata), "name", ""))
        except NotAllowed:  # its key was taken away meanwhile
            return ""


def texts_of(metadata: Any) -> dict[str, str]:
    """Keys are in lower case already; values of bytes belong to keys that nobody here asks for."""
    return {key: value for key, value in metadata or () if isinstance(value, str)}
