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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic

import uvloop

from tidegate_server.drain import DrainPolicy
from tidegate_server.open_files import FileLimitWatch, raise_limit
from tidegate_server.preparation import Prepared, count_processes, prepare, share_of_memory
from tidegate_server.processes.workers import Workers
from tidegate_server.settings import Settings
from tidegate_server.wiring import Parts, Role, build

log = logging.getLogger(__name__)

HURRIED = DrainPolicy(min_seconds=0.0, max_seconds=5.0)
TICK_SECONDS = 1.0
DRAIN_POLL_SECONDS = 0.05
SWITCH_SECONDS = 0.001
"""A thread with a finished run waits at most so long for Python's lock; the default is five times that."""


def serve(settings: Settings) -> int:
    """Serves until a signal and the drain after it; the exit code.

    Raises ModelRefused and BadSetting. 1 for an address that is taken, and when one of several processes ends by
    itself; 0 also when requests had to be abandoned at the drain's deadline.
    """
    raise_limit()
    prepared = prepare(settings)
    processes = count_processes(settings, prepared)
    settings = share_of_memory(settings, processes)
    workers = Workers.start(processes - 1, settings, prepared.findings)
    try:
        return serve_prepared(prepared, settings, Role.PRIMARY, workers)
    finally:
        workers.kill()


def serve_prepared(
    prepared: Prepared,
    settings: Settings,
    role: Role,
    workers: Workers,
    listening: "Callable[[Server], None]" = lambda _: None,
) -> int:
    """The exit code. `listening` is called once clients may connect."""
    sys.setswitchinterval(SWITCH_SECONDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        loop = runner.get_loop()
        server = Server(build(prepared, settings, role, workers, loop), role, workers, loop)
        return runner.run(_run(server, listening))


class Server:
    """Starts, drains and stops the parts of one process."""

    def __init__(self, parts: Parts, role: Role, workers: Workers, loop: asyncio.AbstractEventLoop) -> None:
        """Not listening yet. `workers` are none for a worker."""
        self.parts, self.workers, self.loop = parts, workers, loop
        self.has_abandoned_requests = False
        self._is_primary = role is Role.PRIMARY
        self._file_limit = FileLimitWatch()

    async def listen(self) -> None:
        """Raises OSError for an address that is taken."""
        parts, settings = self.parts, self.parts.settings
        shared = not self._is_primary or self.workers.count > 0
        with _telling(f"{settings.host}:{settings.port} (TIDEGATE_PORT)"):
            port = await parts.public.listen(settings.host, settings.port, shared=shared)
        if not self._is_primary:
            return
        if settings.unix_socket is not None:
            await parts.public.listen_at(settings.unix_socket)
        with _telling(f"{settings.host}:{settings.admin_port} (TIDEGATE_ADMIN_PORT)"):
            admin_port = await parts.admin.listen(settings.host, settings.admin_port)
        grpc_port = parts.grpc.start()
        self.workers.listen(port)
        log.info(
            "serving %s (%s) in %d processes: HTTP%s at %s:%d, gRPC at %d, metrics and health at %d",
            settings.model_name,
            settings.revision,
            1 + self.workers.count,
            "" if settings.tls is None else "S",
            settings.host,
            port,
            grpc_port,
            admin_port,
        )

    def tick(self) -> None:
        """To be called once a second."""
        self.parts.public.tick()
        self.parts.admin.tick()
        if self.parts.certificates is not None:
            self.parts.certificates.look()
        self._file_limit.look()

    def is_drained(self) -> bool:
        """Nothing is in flight any more, or the drain's deadline has come."""
        return self.parts.drain.is_over(monotonic(), self.parts.public.is_busy)

    def poll_seconds(self) -> float:
        """How long to sleep before asking `is_drained` again."""
        drain = self.parts.drain
        return drain.poll_seconds(monotonic(), DRAIN_POLL_SECONDS if drain.begun else TICK_SECONDS / 4)

    def begin_drain(self) -> None:
        """On SIGTERM."""
        self._begin_drain(None)
        self.workers.signal(signal.SIGTERM)

    def begin_hurried_drain(self) -> None:
        """On SIGINT, which comes from a keyboard; and when another process of the server is gone."""
        self._begin_drain(HURRIED)
        self.workers.signal(signal.SIGINT)

    def _begin_drain(self, policy: DrainPolicy | None) -> None:
        parts = self.parts
        if not parts.drain.begun:
            log.info("draining: not ready any more, still serving")
            if self._is_primary:
                parts.grpc.begin_drain()
        parts.drain.begin(monotonic(), policy)
        parts.public.is_draining = True

    async def stop(self) -> None:
        """After the drain: no new connections, and an end to those that are idle."""
        parts = self.parts
        await parts.public.stop_listening()
        while parts.public.is_busy and not parts.drain.is_over(monotonic(), busy=True):
            await asyncio.sleep(DRAIN_POLL_SECONDS)
        if self._is_primary:
            await self.loop.run_in_executor(None, parts.grpc.stop, self._seconds_left())
        self.has_abandoned_requests = parts.public.is_busy or parts.inference.engine.is_running
        parts.public.close_connections()
        parts.inference.engine.stop()
        for threads in parts.thread_pools:
            threads.stop()
        await self.loop.run_in_executor(None, parts.telemetry.close)
        parts.authenticator.close()
        await self.loop.run_in_executor(None, self.workers.wait, self._seconds_left())

    def _seconds_left(self) -> float:
        return self.parts.drain.seconds_left(monotonic())


@contextmanager
def _telling(where: str) -> Iterator[None]:
    """An OSError that is raised inside says which address it was about."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"can't listen on {where}: {error.strerror or error}") from error


async def _run(server: Server, listening: Callable[[Server], None]) -> int:
    try:
        await server.listen()
    except OSError as error:
        log.error("%s", error.strerror or error)
        return 1
    server.loop.add_signal_handler(signal.SIGTERM, server.begin_drain)
    server.loop.add_signal_handler(signal.SIGINT, server.begin_hurried_drain)
    listening(server)
    _freeze_garbage()
    ticking = server.loop.create_task(_tick(server))
    code = 1 if await _until_drained(server) else 0
    await server.stop()
    ticking.cancel()
    with suppress(asyncio.CancelledError):
        await ticking
    if server.has_abandoned_requests:
        log.warning("the drain's deadline has come with requests in flight")
        _exit_now(code)
    log.info("drained: nothing is in flight")
    return code


async def _until_drained(server: Server) -> bool:
    """True when it ended because one of several processes did."""
    has_failed = False
    while not server.is_drained():
        if server.workers.have_failed:
            log.error("one of the server's processes has ended by itself, so all of them do")
            has_failed = True
            server.begin_hurried_drain()
        await asyncio.sleep(server.poll_seconds())
    return has_failed


async def _tick(server: Server) -> None:
    while True:
        await asyncio.sleep(TICK_SECONDS)
        try:
            server.tick()
        except Exception:
            # Without ticks no timeout would ever end anything.
            log.exception("a tick failed")


def _freeze_garbage() -> None:
    """What is there now stays; looking through it for garbage again and again would hold up requests."""
    gc.collect()
    gc.freeze()


def _exit_now(code: int) -> None:
    """Python would wait at exit for the threads that didn't make it."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)
