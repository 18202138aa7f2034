"""Which part responds to a request: the event loop itself, or a thread with the Flask application."""

from collections.abc import Callable, Sequence

from tidegate_server.web.inference_handler import InferenceHandler
from tidegate_server.web.message import Request, Respond, Response, error_response, json_response
from tidegate_server.web.wsgi import WsgiThreadPool

Probes = dict[bytes, Callable[[], Response]]
"""By target; GET only."""
TOO_BUSY = error_response(429, "too many requests wait already; try again in a second", (("retry-after", "1"),))
SELFTEST = b"/v2/selftest"
_INFERENCE = (b"/infer", b"/predict")


HEALTH_PATHS = ("/ping", "/health")
"""Where MLflow, SageMaker and others look whether the server is ready."""


def probes(name: str, ready: Callable[[], bool], health_paths: Sequence[str] = ()) -> Probes:
    """Responded to at once however busy everything else is: a probe that waits ends a healthy pod.

    `health_paths`: where else it is asked whether the server is ready.
    """

    def server_ready() -> Response:
        is_ready = ready()
        return json_response(200 if is_ready else 503, {"ready": is_ready})

    def model_ready() -> Response:
        is_ready = ready()
        return json_response(200 if is_ready else 503, {"name": name, "ready": is_ready})

    return {
        **dict.fromkeys(map(str.encode, health_paths), server_ready),
        b"/v2/health/live": lambda: json_response(200, {"live": True}),
        b"/v2/health/ready": server_ready,
        b"/v2/models/%b/ready" % name.encode(): model_ready,
    }


class _Router:
    def __init__(self, probes: Probes, threads: WsgiThreadPool) -> None:
        """`threads` run everything but the probes."""
        self._probes, self._threads = probes, threads

    def handle(self, request: Request, respond: Respond) -> None:
        """In the event loop's thread."""
        probe = self._probes.get(request.target)
        if probe is not None and request.method == b"GET":
            respond(probe())
        elif not self._threads.submit(request, respond):
            respond(self._rejected(request))

    def _rejected(self, _request: Request) -> Response:
        return TOO_BUSY


class AdminRouter(_Router):
    """Metrics and health, and the self-test. Each has a thread of its own, so a scrape waits for no inference."""

    def __init__(self, probes: Probes, threads: WsgiThreadPool, selftest_threads: WsgiThreadPool) -> None:
        """Both run the admin application."""
        super().__init__(probes, threads)
        self._selftest_threads = selftest_threads

    def handle(self, request: Request, respond: Respond) -> None:
        """In the event loop's thread."""
        if request.target != SELFTEST:
            super().handle(request, respond)
        elif not self._selftest_threads.submit(request, respond):
            respond(TOO_BUSY)


class PublicRouter(_Router):
    """Inference and the protocol around it."""

    def __init__(self, handler: InferenceHandler, probes: Probes, threads: WsgiThreadPool) -> None:
        """`threads` run the public application, for all that the handler doesn't run on the loop."""
        super().__init__(probes, threads)
        self._handler = handler

    def handle(self, request: Request, respond: Respond) -> None:
        """In the event loop's thread."""
        if self._handler.runs_on_loop(request):
            self._handler.handle_on_loop(request, respond)
        else:
            super().handle(request, respond)

    def _rejected(self, request: Request) -> Response:
        is_inference = request.target.endswith(_INFERENCE) or self._handler.knows(request.target)
        if request.method == b"POST" and is_inference:
            return self._handler.rejected(request, TOO_BUSY)
        return TOO_BUSY
