"""Builds the parts of a serving process from its settings. Nothing runs yet: that is `serving`."""

import asyncio
import json
import logging
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import partial

from tidegate_server import __version__
from tidegate_server.access.authenticator import Authenticator
from tidegate_server.access.certificates import Certificates
from tidegate_server.access_log import AccessLog
from tidegate_server.app import ServerInfo, create_admin_app, create_app
from tidegate_server.cgroup import memory_limit
from tidegate_server.dialects.table import dialects
from tidegate_server.drain import Drain, DrainPolicy
from tidegate_server.held_bytes import HeldBytes, most_held_bytes
from tidegate_server.inference.engine import Engine, EngineLimits
from tidegate_server.inference.failure_log import FailureLog
from tidegate_server.inference.queue import QueueLimits
from tidegate_server.inference.service import Inference
from tidegate_server.metrics import Identity, RunPlan, ServerMetrics, prediction_plan
from tidegate_server.metrics.snapshot import DIRECT, LIVE
from tidegate_server.open_files import connection_limits, count_open, raise_limit
from tidegate_server.payload_log.events import Origin
from tidegate_server.payload_log.log import PayloadLog
from tidegate_server.preparation import Prepared
from tidegate_server.processes.primary_client import primary_statistics
from tidegate_server.processes.workers import Workers
from tidegate_server.protocol.openapi import openapi_document
from tidegate_server.protocol.request import InferRequest
from tidegate_server.protocol.tensors import Outputs
from tidegate_server.request_samples.samples import RequestSamples, Sample
from tidegate_server.rpc.call_log import RpcTelemetry
from tidegate_server.rpc.server import GrpcServer
from tidegate_server.settings import Settings
from tidegate_server.tracing import Tracing
from tidegate_server.web.cors import Cors
from tidegate_server.web.inference_handler import InferenceHandler
from tidegate_server.web.large_json import LargeJson
from tidegate_server.web.request_parser import HttpLimits
from tidegate_server.web.router import HEALTH_PATHS, AdminRouter, PublicRouter, probes
from tidegate_server.web.samples_endpoint import SamplesEndpoint
from tidegate_server.web.server import HttpServer
from tidegate_server.web.telemetry import Telemetry
from tidegate_server.web.wsgi import WsgiThreadPool

log = logging.getLogger(__name__)

ADMIN_QUEUE = 16
ADMIN_BODY_BYTES = 2**16
ADMIN_CONNECTIONS = 64
MOST_SAMPLED_BYTES = 2**23
MOST_LOGGED_BYTES, LOGGED_SHARE = 2**24, 16
"""Of bodies that wait for a sink: 16 MiB, or this part of what requests and answers may hold."""


class Role(Enum):
    """Of a process among those that share one port."""

    PRIMARY = auto()
    WORKER = auto()


@dataclass(frozen=True)
class Parts:
    """What a serving process is made of. gRPC and the admin port are the primary's alone."""

    settings: Settings
    drain: Drain
    authenticator: Authenticator
    certificates: Certificates | None
    inference: Inference
    telemetry: Telemetry
    thread_pools: tuple[WsgiThreadPool, ...]
    public: HttpServer
    admin: HttpServer
    grpc: GrpcServer


def build(
    prepared: Prepared, settings: Settings, role: Role, workers: Workers, loop: asyncio.AbstractEventLoop
) -> Parts:
    """Starts threads that wait, and nothing else."""
    drain = Drain(DrainPolicy(settings.drain_seconds, settings.drain_deadline_seconds))
    inference = _inference(prepared, settings, loop, drain)
    if role is Role.PRIMARY:
        inference.metrics.merge = workers.merged_with
    else:
        inference.metrics.statistics_source = partial(primary_statistics, settings.host, settings.admin_port)
    authenticator, info = prepared.authenticator, _server_info(prepared, inference, settings)
    held = HeldBytes(settings.max_held_bytes or most_held_bytes(memory_limit(), 1, settings.max_body_bytes))
    telemetry = _telemetry(inference, settings, held.limit)
    large_json = LargeJson(held.limit, settings.threads)
    handler = InferenceHandler(
        inference,
        authenticator,
        telemetry,
        settings.max_body_bytes,
        large_json,
        dialects(settings.vertex_predict_path),
    )
    app = create_app(inference, handler, authenticator, info)
    threads = WsgiThreadPool(app, settings.threads, settings.max_queue, loop, "flask")
    admin_app = create_admin_app(inference, info, _samples_endpoint(settings, telemetry, workers))
    admin_threads = WsgiThreadPool(admin_app, 1, ADMIN_QUEUE, loop, "admin")
    # A scrape doesn't wait for a self-test.
    selftest_thread = WsgiThreadPool(admin_app, 1, 1, loop, "selftest")
    http_connections, grpc_connections = _connection_limits(settings)
    limits = replace(http_limits(settings), connections=http_connections)
    health = probes(settings.model_name, inference.ready)
    public_health = probes(settings.model_name, inference.ready, info.health_paths)
    cors = Cors(settings.cors_origins)
    handle = PublicRouter(handler, public_health, threads).handle
    public = HttpServer(
        cors.around(handle) if settings.cors_origins else handle,
        limits,
        held,
        loop,
        check_head=None if authenticator.is_open else cors.around_head(handler.check_head),
        receive_failed=handler.receive_failed,
        certificates=prepared.certificates,
    )
    if certificates := prepared.certificates:
        inference.metrics.callbacks.tls = lambda: (certificates.failures, certificates.current.expires)
    return Parts(
        settings,
        drain,
        authenticator,
        certificates,
        inference,
        telemetry,
        (threads, admin_threads, selftest_thread),
        public,
        HttpServer(
            AdminRouter(health, admin_threads, selftest_thread).handle,
            replace(limits, body_bytes=ADMIN_BODY_BYTES, connections=ADMIN_CONNECTIONS),
            held,
            loop,
        ),
        _grpc(prepared, inference, telemetry, settings, info, held, grpc_connections),
    )


def _connection_limits(settings: Settings) -> tuple[int, int]:
    """For HTTP and for gRPC."""
    limit = raise_limit()
    http, grpc = connection_limits(settings.max_connections, limit, count_open())
    if http < settings.max_connections:
        log.warning(
            "the limit of open files is %d, so HTTP has %d connections and gRPC %d; raise it (ulimit -n)",
            limit,
            http,
            grpc,
        )
    return http, grpc


def http_limits(settings: Settings) -> HttpLimits:
    """Of both HTTP ports."""
    return HttpLimits(
        head_bytes=settings.max_head_bytes,
        body_bytes=settings.max_body_bytes,
        head_seconds=settings.head_timeout_seconds,
        body_seconds=settings.body_timeout_seconds,
        idle_seconds=settings.keepalive_seconds,
        connections=settings.max_connections,
    )


def _inference(prepared: Prepared, settings: Settings, loop: asyncio.AbstractEventLoop, drain: Drain) -> Inference:
    identity = Identity(settings.model_deployment, settings.revision, prepared.sha256, settings.model_name)
    findings, labels = prepared.findings, prepared.package.labels
    signature, plan = findings.signature, findings.plan
    metrics = ServerMetrics(identity, prediction_plan(signature, labels), prepared.package.profile)
    layout = plan.layout
    metrics.run_plan = RunPlan(layout.threads_per_run, layout.runs_at_once, plan.max_rows, plan.runs_inline)
    limits = EngineLimits(QueueLimits(settings.max_queue, settings.max_queue_bytes), settings.request_seconds)
    engine = Engine(prepared.model, plan, limits, metrics, loop)
    metrics.callbacks.queue_length = lambda: engine.queue_length
    return Inference(
        signature=signature,
        name=settings.model_name,
        revision=settings.revision,
        metrics=metrics,
        limits=settings.limits(takes_missing_values=prepared.model.takes_missing_values),
        predictor=prepared.package.predictor,
        labels=labels,
        ready=lambda: not drain.begun,
        engine=engine,
        loop=loop,
        failures=FailureLog(),
        unmarked=DIRECT if settings.unmarked_traffic == DIRECT else LIVE,
        sound_inputs=prepared.model.sound_inputs,
    )


def _telemetry(inference: Inference, settings: Settings, held_bytes: int) -> Telemetry:
    access_log = AccessLog(settings.access_log, settings.revision)
    inference.metrics.callbacks.log_lines_dropped = access_log.dropped
    attributes = {"tidegate.model_deployment": settings.model_deployment, "tidegate.revision": settings.revision}
    tracing = Tracing.from_settings(settings.tracing, attributes)
    payloads = None
    if settings.payload_log is not None:
        namespace, _, name = settings.model_deployment.rpartition("/")
        origin = Origin(namespace, name, settings.revision)
        payloads = PayloadLog(settings.payload_log, origin, min(MOST_LOGGED_BYTES, held_bytes // LOGGED_SHARE))
        inference.metrics.callbacks.bodies_logged = lambda: (payloads.sent, payloads.dropped)
    samples = None
    if settings.request_samples is not None:
        samples = RequestSamples(settings.request_samples.keep, min(MOST_SAMPLED_BYTES, held_bytes // LOGGED_SHARE))
    return Telemetry(inference.metrics, access_log, tracing, inference.unmarked, payloads, samples)


def _samples_endpoint(settings: Settings, telemetry: Telemetry, workers: Workers) -> SamplesEndpoint | None:
    if settings.request_samples is None or telemetry.samples is None:
        return None
    own = telemetry.samples.take

    def take(most: int) -> list[Sample]:
        taken = own(most)
        return [*taken, *workers.taken_samples(most - len(taken))]

    return SamplesEndpoint(settings.request_samples.key_file, take)


def _server_info(prepared: Prepared, inference: Inference, settings: Settings) -> ServerInfo:
    signature, package = inference.signature, prepared.package
    document = openapi_document(
        settings.model_name,
        settings.revision,
        signature,
        server_version=__version__,
        secured=not prepared.authenticator.is_open,
        allow_nan=inference.limits.allow_nan,
        answered=prepared.findings.example,
        example=package.predictor.example(signature),
        body_schemas=package.predictor.body_schemas,
    )
    properties = {
        "sha256": prepared.sha256,
        "model_deployment": settings.model_deployment,
        "batching": prepared.findings.batching,
        "runtime": prepared.model.runtime,
        **package.properties,
    }
    properties |= {f"classes.{name}": json.dumps(names) for name, names in signature.output_classes.items()}
    selftest = partial(package.run_selftest, partial(_run_apart, inference), signature, inference.limits)
    vertex = settings.vertex_health_path
    health_paths = (*HEALTH_PATHS, *([vertex] if vertex and vertex not in HEALTH_PATHS else []))
    return ServerInfo(properties, document, selftest, health_paths)


def _run_apart(inference: Inference, request: InferRequest) -> Outputs:
    """Stored questions are nobody's traffic, so they are no evidence."""
    (outputs,), _, _ = inference.run_timed((request,), DIRECT)
    return outputs


def _grpc(
    prepared: Prepared,
    inference: Inference,
    telemetry: Telemetry,
    settings: Settings,
    info: ServerInfo,
    held: HeldBytes,
    connections: int,
) -> GrpcServer:
    authenticator = prepared.authenticator
    return GrpcServer(
        inference,
        authenticator,
        settings.host,
        settings.grpc_port,
        max_message_bytes=settings.max_body_bytes,
        held=held,
        connections=connections,
        threads=settings.max_queue,
        body_seconds=settings.body_timeout_seconds,
        properties=info.properties,
        telemetry=RpcTelemetry(telemetry.access_log, telemetry.tracing, authenticator, telemetry.payloads),
        certificates=prepared.certificates,
        unix_socket=settings.grpc_unix_socket,
    )
