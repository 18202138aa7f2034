"""The Flask applications: paths to answers. Every answer under an error is JSON `{"error": ...}` with the right code.

The public one has the whole protocol; the event loop answers small inference requests and probes before they get
here. The other one is for the cluster: metrics and health, on a port of its own.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, cast

import orjson
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from tidegate_server.access.guard import Guard
from tidegate_server.errors import ServerError
from tidegate_server.inference.service import Inference
from tidegate_server.predict.selftest import SelftestReport
from tidegate_server.protocol import openapi, v2
from tidegate_server.rpc.model_config import model_config
from tidegate_server.web.door import PREDICT, SERVED_BY, V2, InferenceDoor
from tidegate_server.web.message import Answer, Request
from tidegate_server.web.refusals import refused
from tidegate_server.web.wsgi import REQUEST

log = logging.getLogger(__name__)

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_HTTP_WORDS = {404: "there is nothing at this path", 405: "this path has another method"}


@dataclass(frozen=True)
class Facts:
    """What the server can tell about itself, settled before it listens."""

    version: str
    properties: dict[str, str]
    openapi: dict[str, Any]
    selftest: Callable[[], SelftestReport]


def server_version() -> str:
    return version("tidegate-server")


def create_app(inference: Inference, door: InferenceDoor, guard: Guard, facts: Facts) -> Flask:
    """The public application."""
    app = _bare("tidegate_server")
    _add_metadata(app, inference, facts)
    _add_extensions(app, inference, facts)
    _add_inference(app, inference, door)
    _add_pages(app, inference, facts)

    @app.before_request
    def check_caller() -> Response | None:
        # Inference checks by itself, so that refused callers are counted; health tells nothing worth hiding.
        if request.method == "POST" and request.endpoint in ("infer", "predict"):
            return None
        if request.endpoint in ("live", "ready", "model_ready", "page"):
            return None
        guard.check(_message().text_headers())
        return None

    @app.after_request
    def name_the_revision(response: Response) -> Response:
        response.headers[SERVED_BY] = inference.revision
        return response

    return app


def create_admin_app(inference: Inference) -> Flask:
    """Metrics and health. No inference here, and no keys needed."""
    app = _bare("tidegate_server_admin")
    _add_health(app, inference)
    # Where the other processes of this server find the numbers of all.
    app.add_url_rule("/v2/models/stats", "statistics", lambda: _json(inference.metrics.statistics()))
    app.add_url_rule("/metrics", "metrics", lambda: Response(inference.metrics.exposition(), content_type=METRICS_TYPE))
    return app


def _bare(name: str) -> Flask:
    app = Flask(name, static_folder=None)
    app.url_map.strict_slashes = False

    @app.errorhandler(HTTPException)
    def refused_by_flask(error: HTTPException) -> Response:
        code = error.code or 500
        response = _json({"error": _HTTP_WORDS.get(code, error.name.lower())}, code)
        if "Allow" in (headers := dict(error.get_headers())):
            response.headers["Allow"] = headers["Allow"]
        return response

    @app.errorhandler(ServerError)
    def refused_by_us(error: ServerError) -> Response:
        return _response(refused(error))

    @app.errorhandler(Exception)
    def unforeseen(error: Exception) -> Response:
        log.error("a request failed in the server itself: %s: %s", type(error).__name__, error)
        return _response(refused(error))

    return app


def _add_health(app: Flask, inference: Inference) -> None:
    @app.get("/v2/health/live")
    def live() -> Response:
        return _json({"live": True})

    @app.get("/v2/health/ready")
    def ready() -> Response:
        is_ready = inference.ready()
        return _json({"ready": is_ready}, 200 if is_ready else 503)


def _add_metadata(app: Flask, inference: Inference, facts: Facts) -> None:
    _add_health(app, inference)

    @app.get("/v2")
    def server() -> Response:
        return _json(v2.server_metadata(facts.version))

    @app.get("/v2/models")
    def models() -> Response:
        return _json(v2.model_names(inference.name))

    @app.get("/v2/models/<name>")
    @app.get("/v2/models/<name>/versions/<revision>")
    def model(name: str, revision: str | None = None) -> Response:
        if not inference.knows(name, revision):
            return _no_such_model(inference)
        return _json(v2.model_metadata(inference.name, inference.revision, inference.signature, facts.properties))

    @app.get("/v2/models/<name>/ready")
    @app.get("/v2/models/<name>/versions/<revision>/ready")
    def model_ready(name: str, revision: str | None = None) -> Response:
        if not inference.knows(name, revision):
            return _no_such_model(inference)
        is_ready = inference.ready()
        return _json({"name": inference.name, "ready": is_ready}, 200 if is_ready else 503)


def _add_extensions(app: Flask, inference: Inference, facts: Facts) -> None:
    """Of Triton: what its clients and load generators ask for. And the self-test, which is ours."""

    @app.get("/v2/models/<name>/config")
    @app.get("/v2/models/<name>/versions/<revision>/config")
    def config(name: str, revision: str | None = None) -> Response:
        if not inference.knows(name, revision):
            return _no_such_model(inference)
        return _json(model_config(inference.name, inference.signature))

    @app.get("/v2/models/stats")
    @app.get("/v2/models/<name>/stats")
    @app.get("/v2/models/<name>/versions/<revision>/stats")
    def statistics(name: str | None = None, revision: str | None = None) -> Response:
        if name is not None and not inference.knows(name, revision):
            return _no_such_model(inference)
        return _json(inference.metrics.statistics())

    @app.post("/v2/repository/index")
    def index() -> Response:
        return _json(v2.repository_index(inference.name, inference.revision, ready=inference.ready()))

    @app.post("/v2/selftest")
    def selftest() -> Response:
        report = facts.selftest()
        return _json(report.as_json(), 200 if report.passed else 500)


def _add_inference(app: Flask, inference: Inference, door: InferenceDoor) -> None:
    @app.post("/predict")
    def predict() -> Response:
        return _response(door.answer(_message(), PREDICT))

    @app.post("/v2/models/<name>/infer")
    @app.post("/v2/models/<name>/versions/<revision>/infer")
    def infer(name: str, revision: str | None = None) -> Response:
        if not inference.knows(name, revision):
            return _response(door.turned_away(_message(), _answer_of(_no_such_model(inference))))
        return _response(door.answer(_message(), V2))


def _add_pages(app: Flask, inference: Inference, facts: Facts) -> None:
    @app.get("/openapi.json")
    def document() -> Response:
        return _json(facts.openapi)

    @app.get("/")
    def page() -> Response:
        response = Response(openapi.page("openapi.json"), content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"
        )
        return response


def _message() -> Request:
    """The request as it came, which Flask has only been told about."""
    return cast(Request, request.environ[REQUEST])


def _no_such_model(inference: Inference) -> Response:
    return _json(
        {"error": f"this server has model {inference.name} in revision {inference.revision} and no other"}, 404
    )


def _answer_of(response: Response) -> Answer:
    return Answer(response.status_code, response.get_data(), (("content-type", "application/json"),))


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, headers=dict(answer.headers))


def _json(document: Any, code: int = 200) -> Response:
    return Response(orjson.dumps(document), code, mimetype="application/json")
