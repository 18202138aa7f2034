"""The Flask application: paths to answers. Every answer under an error is JSON `{"error": ...}` with the right code."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from threading import BoundedSemaphore
from time import monotonic
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from tidegate_server import protocol
from tidegate_server.body import read_body
from tidegate_server.errors import InvalidRequest, ModelFailed, NotFiniteOutput
from tidegate_server.metrics import ServerMetrics
from tidegate_server.model import Model
from tidegate_server.signature import disagreement
from tidegate_server.tensors import Array

log = logging.getLogger(__name__)

SERVED_BY = "x-tidegate-served-by"
BINARY_TENSORS = "inference-header-content-length"
SECONDS_BETWEEN_FAILURE_LOGS = 1.0


@dataclass(frozen=True)
class Served:
    """What this process serves, and under which limits."""

    model: Model
    name: str
    revision: str
    metrics: ServerMetrics
    ready: Callable[[], bool]
    """False from the moment that the process is asked to end."""
    max_body_bytes: int
    body_timeout_seconds: float
    places: BoundedSemaphore
    """One per request that may be answered at once. There are more threads than places, for health and metrics."""
    failures: "FailureLog" = field(default_factory=lambda: FailureLog())


def create_app(served: Served) -> Flask:
    """The WSGI application."""
    app = Flask("tidegate_server", static_folder=None)
    app.url_map.strict_slashes = False
    _add_health(app, served)
    _add_inference(app, served)
    app.add_url_rule("/metrics", "metrics", lambda: Response(served.metrics.exposition(), content_type=_METRICS_TYPE))

    @app.after_request
    def name_the_revision(response: Response) -> Response:
        response.headers[SERVED_BY] = served.revision
        return response

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        response = _error(error.code or 500, _HTTP_WORDS.get(error.code or 500, error.name.lower()))
        if "Allow" in (headers := dict(error.get_headers())):
            response.headers["Allow"] = headers["Allow"]
        return response

    @app.errorhandler(Exception)
    def unforeseen(error: Exception) -> Response:
        log.error("a request failed in the server itself: %s: %s", type(error).__name__, error)
        return _error(500, "the server failed on this request")

    return app


_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_HTTP_WORDS = {404: "there is nothing at this path", 405: "this path has another method"}


def _add_health(app: Flask, served: Served) -> None:
    def known(name: str, revision: str | None) -> bool:
        return name == served.name and revision in (None, served.revision)

    @app.get("/v2")
    def server() -> Response:
        return _json(protocol.server_metadata(version("tidegate-server")))

    @app.get("/v2/health/live")
    def live() -> Response:
        return _json({"live": True})

    @app.get("/v2/health/ready")
    def ready() -> Response:
        is_ready = served.ready()
        return _json({"ready": is_ready}, 200 if is_ready else 503)

    @app.get("/v2/models/<name>")
    @app.get("/v2/models/<name>/versions/<revision>")
    def model(name: str, revision: str | None = None) -> Response:
        if not known(name, revision):
            return _no_such_model(served)
        return _json(protocol.model_metadata(served.name, served.revision, served.model.signature))

    @app.get("/v2/models/<name>/ready")
    @app.get("/v2/models/<name>/versions/<revision>/ready")
    def model_ready(name: str, revision: str | None = None) -> Response:
        if not known(name, revision):
            return _no_such_model(served)
        is_ready = served.ready()
        return _json({"name": served.name, "ready": is_ready}, 200 if is_ready else 503)


def _add_inference(app: Flask, served: Served) -> None:
    @app.post("/predict")
    def predict() -> Response:
        return _counted(served, lambda: _plain(served))

    @app.post("/v2/models/<name>/infer")
    @app.post("/v2/models/<name>/versions/<revision>/infer")
    def infer(name: str, revision: str | None = None) -> Response:
        if name != served.name or revision not in (None, served.revision):
            return _counted(served, lambda: _no_such_model(served))
        return _counted(served, lambda: _infer(served))


def _counted(served: Served, answer: Callable[[], Response]) -> Response:
    started = monotonic()
    code = 500
    with served.metrics.in_flight.track_inprogress():
        try:
            response = _admitted(served, answer)
            code = response.status_code
        finally:
            served.metrics.answered(code, monotonic() - started)
    return response


def _admitted(served: Served, answer: Callable[[], Response]) -> Response:
    """Turns away what would have to wait for a thread: Kubernetes must still hear that the process lives."""
    if not served.places.acquire(blocking=False):
        busy = _error(503, "the server is busy with as many requests as it takes at once; try again in a second")
        busy.headers["Retry-After"] = "1"
        return busy
    try:
        return _answered(answer)
    finally:
        served.places.release()


def _answered(answer: Callable[[], Response]) -> Response:
    try:
        return answer()
    except InvalidRequest as error:
        return _error(error.status, str(error))
    except NotFiniteOutput as error:
        return _error(500, str(error))
    except ModelFailed:
        return _error(500, "the model failed on this input")


def _plain(served: Served) -> Response:
    asked = protocol.read_plain(_document(served), served.model.signature)
    return _json(protocol.plain_answer(served.name, served.revision, _run(served, asked)))


def _infer(served: Served) -> Response:
    if BINARY_TENSORS in request.headers:
        raise InvalidRequest("binary tensors aren't offered; send the data as JSON")
    asked = protocol.read_infer(_document(served), served.model.signature)
    outputs = _run(served, asked)
    return _json(protocol.infer_answer(served.name, served.revision, asked, outputs, served.model.signature.outputs))


def _document(served: Served) -> Any:
    body = read_body(
        request.environ["wsgi.input"],
        request.content_length,
        limit=served.max_body_bytes,
        until=monotonic() + served.body_timeout_seconds,
    )
    return protocol.parse_json(body)


def _run(served: Served, asked: protocol.Request) -> dict[str, Array]:
    try:
        return served.model.run(asked.arrays, asked.outputs)
    except ModelFailed as error:
        # Only now: some models name dimensions carelessly and run all the same.
        if sentence := disagreement(served.model.signature, asked.arrays):
            raise InvalidRequest(sentence) from None
        served.failures.write(str(error), monotonic())
        raise


class FailureLog:
    """One line per failed inference, but not more than one a second: a bad model at full load must not fill a disk."""

    def __init__(self) -> None:
        self._silent_until = float("-inf")
        self._unsaid = 0

    def write(self, detail: str, now: float) -> None:
        """Two threads may both write at once; a line too many does no harm."""
        if now < self._silent_until:
            self._unsaid += 1
            return
        self._silent_until = now + SECONDS_BETWEEN_FAILURE_LOGS
        unsaid, self._unsaid = self._unsaid, 0
        log.error("the model failed on an input (and on %d before, unsaid): %s", unsaid, detail)


def _no_such_model(served: Served) -> Response:
    return _error(404, f"this server has model {served.name} in revision {served.revision} and no other")


def _error(code: int, message: str) -> Response:
    return _json({"error": message}, code)


def _json(document: dict[str, Any], code: int = 200) -> Response:
    return Response(json.dumps(document, separators=(",", ":"), allow_nan=False), code, mimetype="application/json")
