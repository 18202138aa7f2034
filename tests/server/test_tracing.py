"""Trace context as the W3C wants it, and spans as a collector gets them."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from threading import enumerate as enumerate_threads
from time import monotonic, sleep
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.small_http import listening, say
from tidegate_server.errors import BadSetting
from tidegate_server.tracing import NO_SPAN, TraceParent, TraceSettings, Tracing, parse_traceparent

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param(SAMPLED, TraceParent(TRACE, PARENT, True), id="sampled"),
        pytest.param(UNSAMPLED, TraceParent(TRACE, PARENT, False), id="not sampled"),
        pytest.param(f"00-{TRACE}-{PARENT}-ff", TraceParent(TRACE, PARENT, True), id="flags of the future"),
        pytest.param(f"cc-{TRACE}-{PARENT}-01-more", TraceParent(TRACE, PARENT, True), id="a later version"),
        pytest.param(f"00-{TRACE}-{PARENT}-01-more", None, id="more than this version has"),
        pytest.param(f"cc-{TRACE}-{PARENT}-01.more", None, id="more without a dash"),
        pytest.param(f"ff-{TRACE}-{PARENT}-01", None, id="the forbidden version"),
        pytest.param(f"00-{'0' * 32}-{PARENT}-01", None, id="no trace"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", None, id="no parent"),
        pytest.param(SAMPLED.upper(), None, id="upper case"),
        pytest.param(f"{SAMPLED}\n", None, id="a line's end"),
        pytest.param(f"{SAMPLED}, {SAMPLED}", None, id="sent twice"),
        pytest.param(f"cc-{TRACE}-{PARENT}-01-{'x' * 1000}", None, id="very long"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="absent"),
    ],
)
def test_traceparent_is_read_or_ignored(header: str | None, expected: TraceParent | None) -> None:
    assert parse_traceparent(header) == expected


@given(st.text() | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.{0,5}", fullmatch=True))
def test_any_header_is_read_or_ignored(header: str) -> None:
    found = parse_traceparent(header)
    assert found is None or (len(found.trace_id), len(found.span_id)) == (32, 16)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, TraceSettings(False, 0.01), id="off"),
        pytest.param({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, TraceSettings(True, 0.01), id="on"),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/v1/traces", "TIDEGATE_TRACE_RATIO": "1"},
            TraceSettings(True, 1.0),
            id="all traces",
        ),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"},
            TraceSettings(False, 0.01),
            id="disabled",
        ),
    ],
)
def test_settings_are_read(environ: dict[str, str], expected: TraceSettings) -> None:
    assert TraceSettings.from_env(environ) == expected


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        pytest.param({"TIDEGATE_TRACE_RATIO": "2"}, "TIDEGATE_TRACE_RATIO is '2'", id="a share above 1"),
        pytest.param({"TIDEGATE_TRACE_RATIO": "nan"}, "a share, from 0 to 1", id="no number"),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "http/protobuf only",
            id="another protocol",
        ),
    ],
)
def test_bad_settings_are_refused(environ: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadSetting, match=sentence):
        TraceSettings.from_env(environ)


def test_without_an_endpoint_the_trace_is_known_and_nothing_is_recorded() -> None:
    tracing = Tracing.from_settings(TraceSettings(), {})
    assert tracing.begin(None) is NO_SPAN
    assert tracing.begin("nonsense") is NO_SPAN
    span = tracing.begin(UNSAMPLED)
    span.end("v2", 200)
    assert span.trace_id == TRACE
    tracing.close()


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(BadSetting, match=r"isn't installed; install tidegate-server\[otel\]"):
        Tracing.from_settings(TraceSettings(True), {})


@dataclass
class Collector:
    requests: list[ExportTraceServiceRequest] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    status: int = 200

    def spans(self) -> list[Any]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    here = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            here.paths.append(self.path)
            here.requests.append(ExportTraceServiceRequest.FromString(body))
            say(self, here.status)

    with listening(Handler) as port:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        yield here


def attributes_of(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def test_a_collector_gets_the_span_with_its_parent_and_phases(collector: Collector) -> None:
    tracing = Tracing.from_settings(TraceSettings(True, 0.0), {"tidegate.revision": "digits-1"})
    span = tracing.begin(SAMPLED, "vendor=1")
    assert span.trace_id == TRACE
    span.end("v2", 200, rows=3, queue_seconds=0.001, run_seconds=0.02)
    tracing.close()
    assert collector.paths == ["/v1/traces"]
    resource = attributes_of(collector.requests[0].resource_spans[0].resource.attributes)
    assert (resource["service.name"], resource["tidegate.revision"]) == ("tidegate-server", "digits-1")
    (sent,) = collector.spans()
    assert (sent.name, sent.trace_id.hex(), sent.parent_span_id.hex()) == ("infer", TRACE, PARENT)
    assert (sent.kind, sent.trace_state, sent.status.code) == (2, "vendor=1", 0)
    assert attributes_of(sent.attributes) == {
        "tidegate.protocol": "v2",
        "http.response.status_code": 200,
        "tidegate.queue_seconds": 0.001,
        "tidegate.run_seconds": 0.02,
        "tidegate.rows": 3,
    }
    assert 0 < sent.start_time_unix_nano <= sent.end_time_unix_nano


def test_the_caller_decides_and_where_there_is_none_the_share_does(collector: Collector) -> None:
    draws = iter([0.24, 0.26])
    on = Tracing.from_settings(TraceSettings(True, 0.25), {})
    tracing = Tracing(0.25, on._provider, on._exporter, lambda: next(draws))
    assert tracing.begin(UNSAMPLED).trace_id == TRACE
    own = tracing.begin(None)
    assert tracing.begin(None) is NO_SPAN
    own.end("grpc", 500)
    own.end("grpc", 500)
    tracing.close()
    (sent,) = collector.spans()
    assert (sent.trace_id.hex(), sent.parent_span_id, sent.status.code) == (own.trace_id, b"", 2)


def test_resource_attributes_from_the_environment_win(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "sentiment")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=shop")
    tracing = Tracing.from_settings(TraceSettings(True, 1.0), {"tidegate.revision": "digits-1"})
    tracing.begin(None).end("v2", 200)
    tracing.close()
    resource = attributes_of(collector.requests[0].resource_spans[0].resource.attributes)
    wanted = {"service.name": "sentiment", "team": "shop", "tidegate.revision": "digits-1"}
    assert wanted.items() <= resource.items()


def test_a_collector_that_is_away_does_not_hold_up_the_end(collector: Collector) -> None:
    collector.status = 503
    tracing = Tracing.from_settings(TraceSettings(True, 1.0), {})
    tracing.begin(None).end("v2", 200)
    started = monotonic()
    tracing.close()
    assert monotonic() - started < 5
    deadline = monotonic() + 5
    while any(thread.name == "last-spans" for thread in enumerate_threads()):
        assert monotonic() < deadline
        sleep(0.01)
