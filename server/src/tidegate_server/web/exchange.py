"""One inference request from arrival to answer, as the metrics, the access log and the trace want to hear of it."""

from dataclasses import dataclass
from time import perf_counter

from tidegate_server.access.caller import Caller
from tidegate_server.access_log import AccessLog
from tidegate_server.metrics import ServerMetrics
from tidegate_server.tracing import ServerSpan, Tracing
from tidegate_server.web.message import Answer, Request


@dataclass(frozen=True)
class Witnesses:
    """Who hears of requests."""

    metrics: ServerMetrics
    access_log: AccessLog
    tracing: Tracing

    def begin(self, protocol: str, request: Request) -> "Exchange":
        self.metrics.began()
        headers = request.headers
        traceparent = headers.get(b"traceparent")
        if traceparent is None and not self.tracing.records:
            return Exchange(self, protocol, request, None)
        state = headers.get(b"tracestate")
        span = self.tracing.begin(
            None if traceparent is None else traceparent.decode("latin-1"),
            None if state is None else state.decode("latin-1"),
            name=protocol,
        )
        return Exchange(self, protocol, request, span)


class Exchange:
    """Told what becomes of the request; `end` is called once."""

    __slots__ = (
        "_span",
        "_witnesses",
        "caller",
        "encode_seconds",
        "protocol",
        "queue_seconds",
        "request",
        "rows",
        "run_seconds",
    )

    def __init__(self, witnesses: Witnesses, protocol: str, request: Request, span: ServerSpan | None) -> None:
        self._witnesses, self._span = witnesses, span
        self.protocol, self.request = protocol, request
        self.caller: Caller | None = None
        self.rows = 0
        self.queue_seconds = self.run_seconds = self.encode_seconds = 0.0

    def end(self, answer: Answer) -> None:
        request, status, witnesses = self.request, answer.status, self._witnesses
        seconds = perf_counter() - request.arrived
        witnesses.metrics.answered(self.protocol, status, seconds, self.encode_seconds)
        if self._span is not None:
            self._span.end(
                self.protocol,
                status,
                rows=self.rows,
                queue_seconds=self.queue_seconds,
                run_seconds=self.run_seconds,
                encode_seconds=self.encode_seconds,
            )
        if witnesses.access_log.wants(status):
            witnesses.access_log.write(
                request.method.decode("latin-1"),
                request.target.decode("latin-1"),
                status,
                seconds,
                bytes_in=len(request.body),
                bytes_out=len(answer.body),
                rows=self.rows,
                trace_id="" if self._span is None else self._span.trace_id,
                caller="" if self.caller is None else self.caller.name,
            )
