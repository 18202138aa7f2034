"""The process that serves: one event loop, its listeners, its signals, and an end that loses no request.

Nobody can connect before the model is warm and has passed its self-test. On SIGTERM the server says that it isn't
ready, tells every client to end its connection, and serves what still comes until nothing does.
"""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from math import floor
from time import monotonic

import uvloop

from tidegate_server.access.guard import Guard
from tidegate_server.access_log import AccessLog
from tidegate_server.app import Facts, create_admin_app, create_app, server_version
from tidegate_server.cgroup import cpu_quota, memory_limit
from tidegate_server.drain import Drain, DrainPolicy
from tidegate_server.inference.engine import Engine, EngineLimits
from tidegate_server.inference.failures import FailureLog
from tidegate_server.inference.model import Model, sha256_of
from tidegate_server.inference.plan import Plan, processes_for
from tidegate_server.inference.queue import QueueLimits
from tidegate_server.inference.service import Inference
from tidegate_server.inference.warm_up import Wishes, run_once, warm_up
from tidegate_server.memory import bound_heaps, resident_bytes
from tidegate_server.metrics import Identity, ServerMetrics, prediction_plan
from tidegate_server.predict.package import Package, open_package
from tidegate_server.predict.selftest import SelftestReport, run_selftest
from tidegate_server.processes.elsewhere import StatisticsOf
from tidegate_server.processes.siblings import Siblings
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.openapi import openapi_document
from tidegate_server.rpc.door import GrpcDoor
from tidegate_server.rpc.witness import CallWitness
from tidegate_server.selftest import check_itself
from tidegate_server.settings import Settings
from tidegate_server.tracing import Tracing
from tidegate_server.web.connection import HttpLimits
from tidegate_server.web.door import InferenceDoor
from tidegate_server.web.exchange import Witnesses
from tidegate_server.web.front import AdminFront, PublicFront, probes
from tidegate_server.web.hub import Hub
from tidegate_server.web.wsgi import WsgiThreads

log = logging.getLogger(__name__)

AT_ONCE = DrainPolicy(at_least=0.0, at_most=5.0)
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
TICK_SECONDS = 1.0
DRAIN_LOOK_SECONDS = 0.05
SWITCH_SECONDS = 0.001
"""A thread with a finished run waits at most so long for Python's lock; the default is five times that."""


@dataclass(frozen=True)
class Prepared:
    """Everything that can fail before anybody may connect."""

    model: Model
    plan: Plan
    package: Package
    sha256: str
    guard: Guard


class Role(Enum):
    """Of a process among those that serve one port."""

    FIRST = auto()
    SIBLING = auto()


def serve(settings: Settings) -> int:
    """Serves until a signal and the drain after it; the exit code.

    Raises ModelRefused and BadSetting. 1 for an address that is taken, and when one of several processes ends by
    itself; 0 also when requests had to be abandoned at the drain's deadline.
    """
    bound_heaps()
    prepared = prepare(settings)
    siblings = Siblings.start(_processes(prepared, settings) - 1, settings, prepared.plan)
    try:
        return serve_prepared(prepared, settings, Role.FIRST, siblings=siblings)
    finally:
        siblings.kill()


def serve_prepared(
    prepared: "Prepared",
    settings: Settings,
    role: Role,
    listening: "Callable[[Server], None]" = lambda _: None,
    siblings: Siblings | None = None,
) -> int:
    """The exit code. `listening` is called once clients may connect."""
    sys.setswitchinterval(SWITCH_SECONDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        server = Server(prepared, settings, runner.get_loop(), role, siblings or Siblings())
        return runner.run(_serve(server, listening))


def prepare(settings: Settings) -> Prepared:
    """Opens, warms up and measures."""
    model = Model.open(settings.model_path)
    package = open_package(settings.model_path.parent, model.signature)
    sha256 = sha256_of(settings.model_path)
    wishes = Wishes(
        cpus=_cpus(settings),
        max_rows=settings.batch_max_rows,
        linger_seconds=settings.batch_linger_seconds,
        threads_per_run=settings.threads_per_run,
    )
    limits = Limits(max_elements=settings.max_elements)
    model, plan = warm_up(model, wishes, package.example(model.signature, limits))
    check_itself(model, package, limits)
    return Prepared(model, plan, package, sha256, Guard.from_settings(settings.access))


def prepare_sibling(settings: Settings, plan: Plan) -> Prepared:
    """Opens and runs the model once; what can be found out has been found out by the first process."""
    bound_heaps()
    model = Model.open(settings.model_path, plan.split.threads_per_run)
    package = open_package(settings.model_path.parent, model.signature)
    run_once(model, package.example(model.signature, Limits(max_elements=settings.max_elements)))
    return Prepared(model, plan, package, sha256_of(settings.model_path), Guard.from_settings(settings.access))


def _processes(prepared: Prepared, settings: Settings) -> int:
    if settings.processes is not None:
        return settings.processes
    model_bytes = settings.model_path.stat().st_size
    return processes_for(prepared.plan, _cpus(settings), model_bytes, resident_bytes(), memory_limit())


def _cpus(settings: Settings) -> int:
    return settings.cpus or usable_cpus(cpu_quota(), os.cpu_count() or 1)


def usable_cpus(quota: float | None, cores: int) -> int:
    """A thread more than the quota would be throttled for most of each period."""
    return max(1, cores if quota is None else min(cores, floor(quota)))


class Server:
    """The listeners and what stands behind them."""

    def __init__(
        self,
        prepared: Prepared,
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        role: Role = Role.FIRST,
        siblings: Siblings | None = None,
    ) -> None:
        self.settings, self.loop, self.role = settings, loop, role
        self.siblings = siblings or Siblings()
        self.drain = Drain(DrainPolicy(settings.drain_seconds, settings.drain_deadline_seconds))
        self.guard = prepared.guard
        self.left_behind = False
        self.inference = _inference(prepared, settings, loop, self.drain)
        metrics = self.inference.metrics
        if role is Role.FIRST:
            metrics.gather(self.siblings.gathered)
        else:
            metrics.ask_for_statistics(StatisticsOf(settings.host, settings.admin_port))
        self.witnesses = _witnesses(self.inference, settings)
        door = InferenceDoor(self.inference, prepared.guard, self.witnesses, settings.max_body_bytes)
        facts = _facts(prepared, self.inference, settings)
        app = create_app(self.inference, door, prepared.guard, facts)
        fixed = probes(settings.model_name, self.inference.ready)
        self._threads = WsgiThreads(app, settings.threads, settings.max_queue, loop, "flask")
        self._admin_threads = WsgiThreads(create_admin_app(self.inference), 1, 16, loop, "admin")
        limits = http_limits(settings)
        self.public = Hub(PublicFront(door, fixed, self._threads).handle, limits, loop, door.refused)
        self.admin = Hub(AdminFront(fixed, self._admin_threads).handle, limits, loop)
        self.grpc = GrpcDoor(
            self.inference,
            prepared.guard,
            settings.host,
            settings.grpc_port,
            max_message_bytes=settings.max_body_bytes,
            threads=settings.max_queue,
            body_seconds=settings.body_timeout_seconds,
            properties=facts.properties,
            witness=CallWitness(self.witnesses.access_log, self.witnesses.tracing, prepared.guard),
        )

    async def listen(self) -> None:
        """Raises OSError for an address that is taken."""
        settings = self.settings
        shared = self.role is Role.SIBLING or self.siblings.count > 0
        port = await self.public.listen(settings.host, settings.port, shared=shared)
        if self.role is Role.SIBLING:
            return
        admin_port = await self.admin.listen(settings.host, settings.admin_port)
        grpc_port = self.grpc.start()
        self.siblings.listen(port)
        log.info(
            "serving %s (%s) in %d processes: HTTP at %s:%d, gRPC at %d, metrics and health at %d",
            settings.model_name,
            settings.revision,
            1 + self.siblings.count,
            settings.host,
            port,
            grpc_port,
            admin_port,
        )

    def tick(self) -> None:
        self.public.tick()
        self.admin.tick()

    @property
    def is_busy(self) -> bool:
        return self.public.is_busy

    def begin_drain(self) -> None:
        """On SIGTERM."""
        self._begin_drain(None)
        self.siblings.signal(signal.SIGTERM)

    def begin_hurried_drain(self) -> None:
        """On SIGINT, which comes from a keyboard; and when another process of the server is gone."""
        self._begin_drain(AT_ONCE)
        self.siblings.signal(signal.SIGINT)

    def _begin_drain(self, policy: DrainPolicy | None) -> None:
        if not self.drain.begun:
            log.info("draining: not ready any more, still serving")
            if self.role is Role.FIRST:
                self.grpc.begin_drain()
        self.drain.begin(monotonic(), policy)
        self.public.is_ending = True

    async def stop(self) -> None:
        """After the drain: no new connections, and an end to those that are silent."""
        await self.public.stop_listening()
        while self.is_busy and not self.drain.is_over(monotonic(), busy=True):
            await asyncio.sleep(DRAIN_LOOK_SECONDS)
        if self.role is Role.FIRST:
            await self.loop.run_in_executor(None, self.grpc.stop, self.drain.seconds_left(monotonic()))
        self.left_behind = self.is_busy or self.inference.engine.is_running
        self.public.close_connections()
        self.inference.engine.end()
        self._threads.end()
        self._admin_threads.end()
        await self.loop.run_in_executor(None, self._dismiss_witnesses)
        await self.loop.run_in_executor(None, self.siblings.wait, self.drain.seconds_left(monotonic()))

    def _dismiss_witnesses(self) -> None:
        self.witnesses.access_log.close()
        self.witnesses.tracing.close()
        self.guard.close()


async def _serve(server: Server, listening: Callable[[Server], None]) -> int:
    try:
        await server.listen()
    except OSError as error:
        log.error("can't listen on %s: %s", server.settings.host, error.strerror or error)
        return 1
    server.loop.add_signal_handler(signal.SIGTERM, server.begin_drain)
    server.loop.add_signal_handler(signal.SIGINT, server.begin_hurried_drain)
    listening(server)
    _settle()
    ticking = server.loop.create_task(_tick(server))
    broken = await _until_drained(server)
    await server.stop()
    ticking.cancel()
    with suppress(asyncio.CancelledError):
        await ticking
    code = 1 if broken else 0
    if not server.left_behind:
        log.info("drained: nothing is in flight")
        return code
    log.warning("the drain's deadline has come with requests in flight")
    _leave_now(code)
    return code


async def _until_drained(server: Server) -> bool:
    """True when it ended because one of several processes did."""
    broken = False
    while not server.drain.is_over(monotonic(), server.is_busy):
        if server.siblings.have_failed:
            log.error("one of the server's processes has ended by itself, so all of them do")
            broken = True
            server.begin_hurried_drain()
        await asyncio.sleep(server.drain.seconds_until_next_look(monotonic(), _pause(server)))
    return broken


def _settle() -> None:
    """What is there now stays; looking through it for garbage again and again would hold up requests."""
    gc.collect()
    gc.freeze()


def _pause(server: Server) -> float:
    return DRAIN_LOOK_SECONDS if server.drain.begun else TICK_SECONDS / 4


async def _tick(server: Server) -> None:
    while True:
        await asyncio.sleep(TICK_SECONDS)
        server.tick()


def _leave_now(code: int) -> None:
    """Python would wait at exit for the threads that didn't make it."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)


# --- putting together


def _inference(prepared: Prepared, settings: Settings, loop: asyncio.AbstractEventLoop, drain: Drain) -> Inference:
    identity = Identity(settings.model_deployment, settings.revision, prepared.sha256, settings.model_name)
    signature, labels = prepared.model.signature, prepared.package.labels
    metrics = ServerMetrics(identity, prediction_plan(signature, labels))
    plan = prepared.plan
    metrics.planned(
        threads_per_run=plan.split.threads_per_run,
        runs_at_once=plan.split.runs_at_once,
        max_rows=plan.max_rows,
        inline=plan.inline,
    )
    limits = EngineLimits(QueueLimits(settings.max_queue, settings.max_queue_bytes), settings.request_seconds)
    engine = Engine(prepared.model, prepared.plan, limits, metrics, loop)
    metrics.watch(queue_length=lambda: len(engine.queue))
    return Inference(
        signature=signature,
        name=settings.model_name,
        revision=settings.revision,
        metrics=metrics,
        limits=Limits(max_elements=settings.max_elements),
        predictor=prepared.package.predictor,
        labels=labels,
        ready=lambda: not drain.begun,
        engine=engine,
        loop=loop,
        failures=FailureLog(),
    )


def _witnesses(inference: Inference, settings: Settings) -> Witnesses:
    access_log = AccessLog(settings.access_log, settings.revision)
    inference.metrics.watch(log_lines_dropped=access_log.dropped)
    attributes = {"tidegate.model_deployment": settings.model_deployment, "tidegate.revision": settings.revision}
    return Witnesses(inference.metrics, access_log, Tracing.from_settings(settings.tracing, attributes))


def _facts(prepared: Prepared, inference: Inference, settings: Settings) -> Facts:
    signature, package = inference.signature, prepared.package

    def selftest() -> SelftestReport:
        if package.selftest is None:
            return SelftestReport(0, 0, ())
        return run_selftest(package.selftest, inference.run, package.predictor, signature, inference.limits)

    document = openapi_document(
        settings.model_name,
        settings.revision,
        signature,
        server_version=server_version(),
        secured=not prepared.guard.is_open,
        example=package.predictor.example(signature),
        forms=package.predictor.forms,
    )
    properties = {"sha256": prepared.sha256, "model_deployment": settings.model_deployment}
    return Facts(server_version(), properties, document, selftest)


def http_limits(settings: Settings) -> HttpLimits:
    return HttpLimits(
        head_bytes=settings.max_head_bytes,
        body_bytes=settings.max_body_bytes,
        all_bodies_bytes=max(settings.max_queue_bytes, 2 * settings.max_body_bytes),
        head_seconds=settings.head_timeout_seconds,
        body_seconds=settings.body_timeout_seconds,
        idle_seconds=settings.keepalive_seconds,
        connections=settings.max_connections,
    )
