"""What the access log and the trace record of a call."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import Message

from tidegate_server.access.authenticator import Authenticator
from tidegate_server.access_log import AccessLine, AccessLog
from tidegate_server.errors import NotAllowed
from tidegate_server.metrics.snapshot import LIVE, PREVIEW
from tidegate_server.payload_log.log import Exchange, Payload, PayloadLog
from tidegate_server.rpc.service_names import MODEL_INFER
from tidegate_server.tracing import ServerSpan, Tracing, well_formed

PROTOBUF = "application/protobuf; messageType=inference."


@dataclass(frozen=True)
class RpcTelemetry:
    """Where inference calls are recorded. Any thread may use it."""

    access_log: AccessLog
    tracing: Tracing
    authenticator: Authenticator
    payloads: PayloadLog | None = None
    """None where no bodies are logged."""

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

    def log_bodies(self, http: int, seconds: float, body: bytes, response: Message | None) -> None:
        """Where they are to be logged. There is no response for a call that failed."""
        payloads = self._telemetry.payloads
        if payloads is None or not payloads.wants(http):
            return
        answered = b"" if response is None else response.SerializeToString()
        exchange = Exchange(
            seconds,
            http,
            Payload(body, f"{PROTOBUF}ModelInferRequest"),
            Payload(answered, f"{PROTOBUF}ModelInferResponse"),
            self._metadata.get("ce-id"),
            well_formed(self._metadata.get("traceparent")),
            self._span.trace_id,
        )
        payloads.write(exchange)

    def _caller(self) -> str:
        try:
            return self._telemetry.authenticator.check(self._metadata).name
        except NotAllowed:  # its key was taken away meanwhile
            return ""


MARK = "x-tidegate-traffic"
"""Set by the router, as over HTTP."""


def traffic_of(context: grpc.ServicerContext, unmarked: str) -> str:
    """How a call came; `unmarked` where no router has marked it."""
    mark = text_metadata(context.invocation_metadata()).get(MARK)
    return unmarked if mark is None else PREVIEW if mark == PREVIEW else LIVE


def text_metadata(metadata: Any) -> dict[str, str]:
    """By lower-case key, without the values of bytes: they belong to keys that nobody here reads."""
    return {key: value for key, value in metadata or () if isinstance(value, str)}
