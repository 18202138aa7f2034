"""Who answers a request: the event loop itself, or a thread with the Flask application."""

from collections.abc import Callable

from tidegate_server.web.door import InferenceDoor
from tidegate_server.web.message import Answer, Request, json_answer, refusal
from tidegate_server.web.wsgi import WsgiThreads

Respond = Callable[[Answer], None]
Fixed = dict[bytes, Callable[[], Answer]]
TOO_BUSY = refusal(429, "too many requests wait already; try again in a second", (("retry-after", "1"),))
_INFERENCE = (b"/infer", b"/predict")


def probes(name: str, ready: Callable[[], bool]) -> Fixed:
    """Answered at once however busy everything else is: a probe that waits ends a healthy pod."""

    def is_ready() -> Answer:
        return json_answer(200, {"ready": True}) if ready() else json_answer(503, {"ready": False})

    def model_is_ready() -> Answer:
        return json_answer(200 if ready() else 503, {"name": name, "ready": ready()})

    return {
        b"/v2/health/live": lambda: json_answer(200, {"live": True}),
        b"/v2/health/ready": is_ready,
        b"/v2/models/%b/ready" % name.encode(): model_is_ready,
    }


class PublicFront:
    """Inference and the protocol around it."""

    def __init__(self, door: InferenceDoor, fixed: Fixed, threads: WsgiThreads) -> None:
        self._door, self._fixed, self._threads = door, fixed, threads

    def handle(self, request: Request, respond: Respond) -> None:
        if self._door.is_hot(request):
            self._door.begin(request, respond)
            return
        fixed = self._fixed.get(request.target)
        if fixed is not None and request.method == b"GET":
            respond(fixed())
            return
        if self._threads.take(request, respond):
            return
        if request.method == b"POST" and request.target.endswith(_INFERENCE):
            respond(self._door.turned_away(request, TOO_BUSY))
        else:
            respond(TOO_BUSY)


class AdminFront:
    """Metrics and health. Its one thread is shared with nobody, so a scrape waits for no inference."""

    def __init__(self, fixed: Fixed, threads: WsgiThreads) -> None:
        self._fixed, self._threads = fixed, threads

    def handle(self, request: Request, respond: Respond) -> None:
        fixed = self._fixed.get(request.target)
        if fixed is not None and request.method == b"GET":
            respond(fixed())
        elif not self._threads.take(request, respond):
            respond(TOO_BUSY)
