"""One inference request from arrival to response, for the metrics, the access log and the trace."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from tidegate_server.access.principal import ANONYMOUS, Principal
from tidegate_server.access_log import AccessLine, AccessLog
from tidegate_server.metrics import ServerMetrics
from tidegate_server.metrics.snapshot import LIVE, PREVIEW
from tidegate_server.payload_log.log import Exchange, Payload, PayloadLog
from tidegate_server.protocol.request import InferRequest
from tidegate_server.request_samples.samples import RequestSamples
from tidegate_server.tracing import NO_SPAN, ServerSpan, Tracing, well_formed
from tidegate_server.web.message import JSON_LENGTH, Request, Response
from tidegate_server.web.sample import sample_of

MARK = b"x-tidegate-traffic"
"""Set by the router, `live` or `preview`; what a client says there, the router overwrites."""


@dataclass(frozen=True)
class Telemetry:
    """Everything that records requests."""

    metrics: ServerMetrics
    access_log: AccessLog
    tracing: Tracing
    unmarked: str = LIVE
    """How a request came that no router has marked."""
    payloads: PayloadLog | None = None
    """None where no bodies are logged."""
    samples: RequestSamples | None = None
    """None where no requests are kept."""

    def begin(self, protocol: str, request: Request) -> "RequestRecord":
        """`protocol` as the metrics count it. `end` of the record is to be called once, whatever happens."""
        self.metrics.request_started()
        mark = request.headers.get(MARK)
        traffic = self.unmarked if mark is None else PREVIEW if mark == b"preview" else LIVE
        if not self.tracing.is_recording and b"traceparent" not in request.headers:
            return RequestRecord(self, protocol, request, NO_SPAN, traffic)
        parent, state = request.header(b"traceparent"), request.header(b"tracestate")
        return RequestRecord(self, protocol, request, self.tracing.begin(parent, state, name=protocol), traffic)

    def close(self) -> None:
        """Writes and sends what is left; waits for seconds at most."""
        self.access_log.close()
        self.tracing.close()
        if self.payloads is not None:
            self.payloads.close()


@dataclass(slots=True)
class RequestRecord:
    """Filled in while the request is worked on."""

    _telemetry: Telemetry
    protocol: str
    request: Request
    _span: ServerSpan
    traffic: str
    principal: Principal = ANONYMOUS
    requests: Sequence[InferRequest] = ()
    """What it asks of the model."""
    queue_seconds: float = 0.0
    run_seconds: float = 0.0
    encode_seconds: float = 0.0

    def end(self, response: Response) -> None:
        """Counts the request, ends its span and logs it."""
        request, status, telemetry = self.request, response.status, self._telemetry
        seconds = perf_counter() - request.arrived
        telemetry.metrics.request_finished(self.protocol, status, seconds, self.encode_seconds, self.traffic)
        if self._span is not NO_SPAN:
            self._end_span(status)
        if telemetry.access_log.wants(status):
            method, target = request.method.decode("latin-1"), request.target.decode("latin-1")
            sizes, trace_id = (len(request.body), len(response.body)), self._span.trace_id
            line = AccessLine(method, target, status, seconds, *sizes, self._rows, trace_id, self.principal.name)
            telemetry.access_log.write(line)
        if telemetry.payloads is not None and telemetry.payloads.wants(status):
            telemetry.payloads.write(_exchange(request, response, seconds, self._span.trace_id))
        if telemetry.samples is not None and (sample := sample_of(request, response, self.traffic)) is not None:
            telemetry.samples.offer(sample)

    @property
    def _rows(self) -> int:
        return sum([request.rows for request in self.requests])

    def _end_span(self, status: int) -> None:
        self._span.end(
            self.protocol,
            status,
            rows=self._rows,
            queue_seconds=self.queue_seconds,
            run_seconds=self.run_seconds,
            encode_seconds=self.encode_seconds,
        )


def _exchange(request: Request, response: Response, seconds: float, trace_id: str) -> Exchange:
    sent = {name.lower(): value for name, value in response.headers}
    return Exchange(
        seconds,
        response.status,
        Payload(request.body, *map(request.header, (b"content-type", b"content-encoding", JSON_LENGTH))),
        Payload(response.body, *map(sent.get, ("content-type", "content-encoding", JSON_LENGTH.decode()))),
        request.header(b"ce-id"),
        well_formed(request.header(b"traceparent")),
        trace_id,
    )
