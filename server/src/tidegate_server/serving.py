"""The process that serves: gunicorn's threaded worker, without gunicorn's arbiter.

One process owns the listener, the threads and the signals. The arbiter would close its listener the moment SIGTERM
comes, while routers still send requests; here the listener stays open until the drain is over. And a runtime that
crashes takes the container with it, so that Kubernetes sees the restart; an arbiter would hide it.
"""

import logging
import os
import selectors
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterable
from time import monotonic
from types import FrameType
from typing import Any

from flask import Flask
from gunicorn import sock as gunicorn_sock
from gunicorn import util as gunicorn_util
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import TConn, ThreadWorker

from tidegate_server.app import Served, create_app
from tidegate_server.drain import Drain, DrainPolicy
from tidegate_server.http_refusal import http_refusal
from tidegate_server.metrics import Identity, ServerMetrics
from tidegate_server.model import Model, sha256_of
from tidegate_server.settings import Settings

log = logging.getLogger(__name__)

WSGIApplication = Callable[..., Iterable[bytes]]

AT_ONCE = DrainPolicy(at_least=0.0, at_most=5.0)
LOOK_SECONDS = 1.0
CONNECTIONS = 1000
THREADS_FOR_HEALTH = 4
"""More than take part in inference, so that probes and scrapes are answered however busy the model is."""


def serve(settings: Settings) -> None:
    """Loads, warms up, listens, and serves until a signal and the drain after it.

    Nobody can connect before the model is warm. Raises ModelRefused, and SystemExit(1) for an address that is taken.
    Doesn't return when requests had to be abandoned at the deadline: the process ends here, with exit code 0.
    """
    model = Model.open(settings.model_path, settings.cpus)
    sha256 = sha256_of(settings.model_path)
    model.warm_up()
    drain = Drain(DrainPolicy(settings.drain_seconds, settings.drain_deadline_seconds))
    app = create_app(
        Served(
            model=model,
            name=settings.model_name,
            revision=settings.revision,
            metrics=ServerMetrics(Identity(settings.model_deployment, settings.revision, sha256)),
            ready=lambda: not drain.begun,
            max_body_bytes=settings.max_body_bytes,
            body_timeout_seconds=settings.body_timeout_seconds,
            places=threading.BoundedSemaphore(settings.threads),
        )
    )
    _serve_app(app, settings, drain)


def _serve_app(app: Flask, settings: Settings, drain: Drain) -> None:
    config = _gunicorn_config(settings)
    logger = _QuietLogger(config)
    listeners = gunicorn_sock.create_sockets(config, logger)
    worker = _Worker(app, config, logger, listeners, drain, settings.body_timeout_seconds)
    log.info("serving %s (%s) at %s", settings.model_name, settings.revision, ", ".join(map(str, listeners)))
    worker.init_process()
    if not worker.busy:
        log.info("drained: nothing is in flight")
        return
    log.warning("the drain's deadline has come with requests in flight")
    # Python would wait at exit for the threads that didn't make it.
    logging.shutdown()
    sys.stderr.flush()
    os._exit(0)


def _gunicorn_config(settings: Settings) -> Config:
    config = Config()
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    config.set("bind", [f"{host}:{settings.port}"])
    config.set("threads", settings.threads + THREADS_FOR_HEALTH)
    config.set("worker_connections", CONNECTIONS)
    config.set("keepalive", settings.keepalive_seconds)
    config.set("loglevel", "warning")
    return config


class _QuietLogger(Logger):  # type: ignore[misc] # gunicorn has no types
    """Leaves place and format of log lines to the program around it; a client's failings are no stack traces."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Requests are counted, not logged."""

    def exception(self, msg: str, *args: Any, **_: Any) -> None:
        self.error_log.warning(f"{msg} (%s)", *args, repr(sys.exc_info()[1]))


class _Application:
    """The little that a worker asks of gunicorn's application class."""

    def __init__(self, wsgi_app: WSGIApplication) -> None:
        self._wsgi_app = wsgi_app

    def wsgi(self) -> WSGIApplication:
        return self._wsgi_app


class _Worker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """Serves in this very process, and drains as `Drain` says."""

    def __init__(
        self, app: Flask, config: Config, logger: Logger, listeners: list[Any], drain: Drain, timeout: float
    ) -> None:
        super().__init__(1, os.getppid(), listeners, _Application(self._answer), 0, config, logger)
        self._app = app
        self._drain = drain
        self._timeout = struct.pack("ll", int(timeout), int(timeout % 1 * 1_000_000))
        self._thread = threading.local()
        self._announced = False

    @property
    def busy(self) -> bool:
        """A request is being read, queued, worked on or answered."""
        return bool(self.nr_conns > len(self.keepalived_conns) + len(self.pending_conns))

    # --- signals

    def init_signals(self) -> None:
        signal.signal(signal.SIGTERM, self._begin_drain)
        signal.signal(signal.SIGINT, self._begin_hurried_drain)
        signal.siginterrupt(signal.SIGTERM, False)

    def _begin_drain(self, _number: int, _frame: FrameType | None) -> None:
        self._drain.begin(monotonic())
        self.method_queue.defer(self._announce)

    def _begin_hurried_drain(self, _number: int, _frame: FrameType | None) -> None:
        self._drain.begin(monotonic(), AT_ONCE)
        self.method_queue.defer(self._announce)

    def _announce(self) -> None:
        if not self._announced:
            self._announced = True
            log.info("draining: not ready any more, still serving")

    # --- the loop

    def run(self) -> None:
        self.poller.register(self.method_queue.fileno(), selectors.EVENT_READ, self.method_queue.run_callbacks)
        while not self._drain.is_over(monotonic(), self.busy):
            self.set_accept_enabled(self.nr_conns < self.worker_connections)
            self._look(self._drain.seconds_until_next_look(monotonic(), LOOK_SECONDS))
        self._close_listeners()
        # What had arrived by then is answered too.
        self._look(0)
        while self.busy and not self._drain.is_over(monotonic(), busy=True):
            self._look(self._drain.seconds_until_next_look(monotonic(), LOOK_SECONDS))
        self.murder_keepalived(force=True)
        self.tpool.shutdown(wait=False, cancel_futures=True)

    def _look(self, timeout: float) -> None:
        self.wait_for_and_dispatch_events(timeout=timeout)
        self.murder_keepalived()
        self.murder_pending()

    def _close_listeners(self) -> None:
        self.set_accept_enabled(False)
        for listener in self.sockets:
            # Connections that the kernel holds ready would be reset by the close.
            before = -1
            while before != self.nr_conns:
                before = self.nr_conns
                self.accept(listener)
            listener.close()

    # --- connections and requests

    def accept(self, listener: Any) -> None:
        """A connection waits for its first byte in the poller: silent ones cost a descriptor, not a thread."""
        try:
            client, address = listener.accept()
        except OSError:  # gone again, or somebody else's
            return
        # The kernel's own timeouts: gunicorn reads bodies blocking, and a client that stops would keep a thread.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, self._timeout)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, self._timeout)
        conn = TConn(self.cfg, client, address, listener.getsockname())
        conn.set_timeout()
        self.nr_conns += 1
        self.pending_conns.append(conn)
        self.poller.register(client, selectors.EVENT_READ, lambda sock: self.on_pending_socket_readable(conn, sock))

    def handle_request(self, req: Any, conn: Any) -> Any:
        self._thread.request = req
        keep = super().handle_request(req, conn)
        req.answered = True
        return keep

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """The application, plus `Connection: close` while draining.

        Decided once, right before the head goes out: a connection that was promised to stay open must not be closed
        under the client's next request.
        """

        def start(*head: Any) -> Any:
            if self._drain.begun:
                self._thread.request.force_close()
            return start_response(*head)

        return self._app.wsgi_app(environ, start)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Requests that aren't HTTP never reach the app; they get JSON too."""
        if getattr(req, "answered", False):  # the rest of its body was malformed; one answer is enough
            return
        status, answer = http_refusal(exc)
        if status == 500:
            log.error("a request failed below the app: %r", exc)
        try:
            gunicorn_util.write(client, answer)
        except OSError:
            log.debug("a client was gone before it could be told: %d", status)
