"""W3C trace context, always read; OpenTelemetry spans, where an endpoint for them is configured.

Without an endpoint nothing of OpenTelemetry is imported. A request that isn't recorded costs next to nothing.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from random import random
from threading import Thread
from time import time_ns
from typing import Any, NamedTuple

from tidegate_server.environment import number
from tidegate_server.errors import BadSetting

DEFAULT_RATIO = 0.01
MAX_HEADER_LENGTH = 512
FLUSH_TIMEOUT_SECONDS = 2.0
SERVICE = "tidegate-server"

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_TRACEPARENT = re.compile("([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE, _NO_PARENT = "0" * 32, "0" * 16


@dataclass(frozen=True)
class TraceSettings:
    """Whether spans are recorded and sent, and of how many requests."""

    enabled: bool = False
    ratio: float = DEFAULT_RATIO
    """The share of requests that begin a trace, of those that come without one."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "TraceSettings":
        """Raises BadSetting with a sentence that names the variable. OpenTelemetry reads its own variables itself."""
        enabled = any(environ.get(name) for name in _ENDPOINTS) and environ.get("OTEL_SDK_DISABLED", "") != "true"
        protocol = next((environ[name] for name in _PROTOCOLS if environ.get(name)), "http/protobuf")
        if enabled and protocol != "http/protobuf":
            raise BadSetting(f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}; this server speaks http/protobuf only")
        return cls(enabled, number(environ, "TIDEGATE_TRACE_RATIO", DEFAULT_RATIO, most=1, unit="a share"))


class TraceParent(NamedTuple):
    """Whose part this request is. Identifiers in lower case hex."""

    trace_id: str
    span_id: str
    sampled: bool


def parse_traceparent(text: str | None) -> TraceParent | None:
    """None for a header that is malformed: the standard wants it ignored."""
    if text is None or len(text) > MAX_HEADER_LENGTH:
        return None
    found = _TRACEPARENT.fullmatch(text)
    if found is None:
        return None
    header_version, trace_id, span_id, flags, more = found.groups()
    if header_version == "ff" or (header_version == "00" and more is not None):
        return None
    if trace_id == _NO_TRACE or span_id == _NO_PARENT:
        return None
    return TraceParent(trace_id, span_id, flags[1] in "13579bdf")


def well_formed(traceparent: str | None) -> str:
    """The header as it came; empty for none, and for one that is malformed."""
    return traceparent if traceparent and parse_traceparent(traceparent) else ""


class ServerSpan:
    """One inference request. `trace_id` is empty when it belongs to no trace."""

    __slots__ = ("_span", "trace_id")

    def __init__(self, trace_id: str, span: Any = None) -> None:
        """`trace_id` in lower case hex; `span` is OpenTelemetry's, None where nothing is recorded."""
        self.trace_id, self._span = trace_id, span

    def end(
        self,
        protocol: str,
        status: int,
        *,
        rows: int = 0,
        queue_seconds: float = 0.0,
        run_seconds: float = 0.0,
        encode_seconds: float = 0.0,
    ) -> None:
        """`protocol` and `status` as the metrics count them; a phase of 0 seconds is one that didn't happen."""
        span = self._span
        if span is None:
            return
        self._span = None
        span.set_attributes({"tidegate.protocol": protocol, "http.response.status_code": status})
        phases = {"queue": queue_seconds, "run": run_seconds, "encode": encode_seconds}
        span.set_attributes({f"tidegate.{name}_seconds": seconds for name, seconds in phases.items() if seconds})
        if rows:
            span.set_attribute("tidegate.rows", rows)
        if status >= 500:
            span.set_status(_error_status())
        span.end()


NO_SPAN = ServerSpan("")


class Tracing:
    """Any thread may call `begin`; a span may end in another one."""

    def __init__(
        self, ratio: float = 0.0, provider: Any = None, exporter: Any = None, draw: Callable[[], float] = random
    ) -> None:
        """`provider` and `exporter` are OpenTelemetry's; without them nothing is recorded. `draw` gives 0 to 1."""
        self._ratio, self._provider, self._exporter, self._draw = ratio, provider, exporter, draw
        self._tracer = None if provider is None else provider.get_tracer("tidegate_server", version(SERVICE))

    @classmethod
    def from_settings(cls, settings: TraceSettings, attributes: Mapping[str, str]) -> "Tracing":
        """`attributes` describe this server in every span. Raises BadSetting when packages are missing."""
        if not settings.enabled:
            return cls()
        try:
            return cls(settings.ratio, *_otlp_exporter(attributes))
        except ImportError as error:
            raise BadSetting(
                f"OTEL_EXPORTER_OTLP_ENDPOINT is set, but {error.name} isn't installed; install tidegate-server[otel]"
            ) from None

    @property
    def is_recording(self) -> bool:
        """False where `begin` without a traceparent gives nothing."""
        return self._tracer is not None

    def begin(self, traceparent: str | None, tracestate: str | None = None, *, name: str = "infer") -> ServerSpan:
        """The headers as they came. A caller that records makes us record; one that doesn't keeps us from it."""
        tracer = self._tracer
        if traceparent is None and tracer is None:
            return NO_SPAN
        parent = parse_traceparent(traceparent)
        if tracer is None:
            return NO_SPAN if parent is None else ServerSpan(parent.trace_id)
        if parent is None:
            return _started(tracer, name, None) if self._draw() < self._ratio else NO_SPAN
        if not parent.sampled:
            return ServerSpan(parent.trace_id)
        return _started(tracer, name, _context(parent, tracestate))

    def close(self) -> None:
        """Sends what is left, for two seconds at most: a collector that is away must not hold up the end."""
        if self._provider is None:
            return
        last = Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        last.start()
        last.join(FLUSH_TIMEOUT_SECONDS)
        if last.is_alive():
            # It would go on trying for as long again as it takes to give up.
            self._exporter.shutdown()


def _otlp_exporter(attributes: Mapping[str, str]) -> tuple[Any, Any]:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say wins.
    resource = Resource.create({"service.name": SERVICE, **attributes}).merge(OTELResourceDetector().detect())
    # `begin` has decided; a span that is started is meant to be sent.
    provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider, exporter


def _started(tracer: Any, name: str, context: Any) -> ServerSpan:
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind, format_trace_id

    span = tracer.start_span(name, context or Context(), kind=SpanKind.SERVER, start_time=time_ns())
    return ServerSpan(format_trace_id(span.get_span_context().trace_id), span)


def _context(parent: TraceParent, tracestate: str | None) -> Any:
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, set_span_in_context

    state = TraceState.from_header([tracestate]) if tracestate and len(tracestate) <= MAX_HEADER_LENGTH else None
    sampled = TraceFlags(TraceFlags.SAMPLED)
    context = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), True, sampled, state)
    return set_span_in_context(NonRecordingSpan(context), Context())


def _error_status() -> Any:
    from opentelemetry.trace import Status, StatusCode

    return Status(StatusCode.ERROR)
