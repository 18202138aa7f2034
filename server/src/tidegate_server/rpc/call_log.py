"""What the access log and the trace record of a call."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc

from tidegate_server.access.authenticator import Authenticator
from tidegate_server.access_log import AccessLine, AccessLog
from tidegate_server.errors import NotAllowed
from tidegate_server.rpc.service_names import MODEL_INFER
from tidegate_server.tracing import ServerSpan, Tracing


@dataclass(frozen=True)
class RpcTelemetry:
    """Where inference calls are recorded. Any thread may use it."""

    access_log: AccessLog
    tracing: Tracing
    authenticator: Authenticator

    def begin(self, context: grpc.ServicerContext) -> "RpcRecord":
        """Begins the span of a call."""
        metadata = text_metadata(context.invocation_metadata())
        span = self.tracing.begin(metadata.get("traceparent"), metadata.get("tracestate"), name="grpc")
        return RpcRecord(self, span, metadata)


@dataclass(slots=True)
class RpcRecord:
    """One inference; `end` is called once."""

    _telemetry: RpcTelemetry
    _span: ServerSpan
    _metadata: Mapping[str, str]
    rows: int = 0

    def end(self, http: int, seconds: float, *, encode_seconds: float, bytes_in: int, bytes_out: int) -> None:
        """`http`: the status that the metrics count."""
        self._span.end("grpc", http, rows=self.rows, encode_seconds=encode_seconds)
        if self._telemetry.access_log.wants(http):
            sizes, trace_id = (bytes_in, bytes_out), self._span.trace_id
            line = AccessLine("gRPC", MODEL_INFER, http, seconds, *sizes, self.rows, trace_id, self._caller())
            self._telemetry.access_log.write(line)

    def _caller(self) -> str:
        try:
            return self._telemetry.authenticator.check(self._metadata).name
        except NotAllowed:  # its key was taken away meanwhile
            return ""


def text_metadata(metadata: Any) -> dict[str, str]:
    """By lower-case key, without the values of bytes: they belong to keys that nobody here reads."""
    return {key: value for key, value in metadata or () if isinstance(value, str)}
