"""The Flask applications: paths to responses. Every error is JSON `{"error": ...}` with the right code.

The public one has the whole protocol; the event loop handles small inference requests and probes before they get here.
The other one is for the cluster: metrics and health, on a port of its own.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import flask
from flask import Flask
from werkzeug.exceptions import HTTPException

from tidegate_server import __version__
from tidegate_server.access.authenticator import Authenticator
from tidegate_server.errors import NotAllowed, ServerError
from tidegate_server.inference.service import Inference
from tidegate_server.predict.selftest import SelftestReport
from tidegate_server.protocol import openapi, v2
from tidegate_server.rpc.model_config import model_config
from tidegate_server.web.error_responses import response_for
from tidegate_server.web.inference_handler import DIALECT, PREDICT, SERVED_BY, V2, InferenceHandler
from tidegate_server.web.message import Request, Response, error_response, json_response
from tidegate_server.web.router import probes
from tidegate_server.web.samples_endpoint import MOST_AT_ONCE, SamplesEndpoint, no_samples
from tidegate_server.web.samples_endpoint import PATH as SAMPLES
from tidegate_server.web.wsgi import REQUEST

log = logging.getLogger(__name__)

TEXT_TYPE = ("content-type", "text/plain; charset=utf-8")
METRICS_TYPE = ("content-type", "text/plain; version=0.0.4; charset=utf-8")
_HTTP_SENTENCES = {404: "there is nothing at this path", 405: "this path has another method"}
_WITHOUT_KEY = frozenset({"live", "ready", "model_ready", "page", "v1_model"})
"""Endpoints that tell nothing worth hiding."""
_INFERENCE = frozenset({"infer", "predict", "dialect"})


@dataclass(frozen=True)
class ServerInfo:
    """What the server says about itself, settled before it listens."""

    properties: dict[str, str]
    openapi: dict[str, Any]
    selftest: Callable[[], SelftestReport]
    health_paths: Sequence[str] = ()
    """Where others than ours look whether the server is ready."""


def create_app(
    inference: Inference, handler: InferenceHandler, authenticator: Authenticator, info: ServerInfo
) -> Flask:
    """The public application."""
    app = _bare("tidegate_server")
    _add_health(app, inference, info.health_paths)
    _add_metadata(app, inference, info)
    _add_extensions(app, inference)
    _add_selftest(app, info, is_open=authenticator.is_open)
    _add_dialects(app, inference, handler)
    _add_inference(app, inference, handler)
    _add_pages(app, info)

    @app.before_request
    def authenticate() -> None:
        # Inference checks by itself, so that rejected callers are counted.
        is_inference = flask.request.method == "POST" and flask.request.endpoint in _INFERENCE
        if not is_inference and flask.request.endpoint not in _WITHOUT_KEY:
            authenticator.check(_message().text_headers())

    @app.after_request
    def name_the_revision(response: flask.Response) -> flask.Response:
        response.headers[SERVED_BY] = inference.revision
        return response

    return app


def create_admin_app(inference: Inference, info: ServerInfo, samples: SamplesEndpoint | None) -> Flask:
    """Metrics, health and the self-test. No inference here, and no keys needed but for samples of requests."""
    app = _bare("tidegate_server_admin")
    _add_health(app, inference)
    # Where the worker processes of this server find the numbers of all.
    _add(app, "/v2/models/stats", "statistics", lambda: json_response(200, inference.metrics.statistics()))
    _add_selftest(app, info, is_open=False)
    _add_samples(app, samples)
    _add(app, "/metrics", "metrics", lambda: Response(200, inference.metrics.exposition(), (METRICS_TYPE,)))
    return app


def _add_samples(app: Flask, samples: SamplesEndpoint | None) -> None:
    def take() -> Response:
        if samples is None:
            return no_samples()
        given = flask.request
        return samples.respond(given.headers.get("Authorization", ""), given.args.get("most", str(MOST_AT_ONCE)))

    _add(app, SAMPLES, "request_samples", take, method="POST")


def _bare(name: str) -> Flask:
    app = Flask(name, static_folder=None)
    app.url_map.strict_slashes = False

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> flask.Response:
        code = error.code or 500
        response = _flask(error_response(code, _HTTP_SENTENCES.get(code, error.name.lower())))
        if "Allow" in (headers := dict(error.get_headers())):
            response.headers["Allow"] = headers["Allow"]
        return response

    @app.errorhandler(Exception)
    def other_error(error: Exception) -> flask.Response:
        if not isinstance(error, ServerError):
            log.error("a request failed in the server itself: %s: %s", type(error).__name__, error)
        return _flask(response_for(error))

    return app


def _add_health(app: Flask, inference: Inference, paths: Sequence[str] = ()) -> None:
    """For requests that the event loop's probes don't take: another method, a query, a slash at the end."""
    known = probes(inference.name, inference.ready)
    _add(app, "/v2/health/live", "live", known[b"/v2/health/live"])
    ready = known[b"/v2/health/ready"]

    def view() -> flask.Response:
        return _flask(ready())

    for path in ("/v2/health/ready", *paths):
        app.add_url_rule(path, "ready", view)


def _add_metadata(app: Flask, inference: Inference, info: ServerInfo) -> None:
    def model() -> Response:
        return json_response(
            200, v2.model_metadata(inference.name, inference.revision, inference.signature, info.properties)
        )

    def v1_model(name: str) -> flask.Response:
        is_ready = inference.ready()
        known = json_response(200 if is_ready else 503, {**_openai_model(inference), "name": name, "ready": is_ready})
        return _flask(known if inference.knows(name, None) else _no_such_model(inference))

    model_ready = probes(inference.name, inference.ready)[b"/v2/models/%b/ready" % inference.name.encode()]
    _add(app, "/v1/models", "v1_models", lambda: json_response(200, _v1_models(inference)))
    app.add_url_rule("/v1/models/<name>", "v1_model", v1_model)
    _add(app, "/version", "version", lambda: Response(200, __version__.encode(), (TEXT_TYPE,)))
    _add(app, "/v2", "server", lambda: json_response(200, v2.server_metadata(__version__)))
    _add(app, "/v2/models", "models", lambda: json_response(200, v2.model_names(inference.name)))
    _add_for_model(app, inference, "", "model", model)
    _add_for_model(app, inference, "/ready", "model_ready", model_ready)


def _v1_models(inference: Inference) -> dict[str, Any]:
    """The list as OpenAI's clients read it, and as KServe's do."""
    return {"object": "list", "data": [_openai_model(inference)], "models": [inference.name]}


def _openai_model(inference: Inference) -> dict[str, Any]:
    return {"id": inference.name, "object": "model", "created": 0, "owned_by": "tidegate"}


def _add_selftest(app: Flask, info: ServerInfo, *, is_open: bool) -> None:
    """`is_open`: to strangers, who may not have the model asked a thousand questions."""

    def selftest() -> Response:
        if is_open:
            raise NotAllowed("the self-test is on the admin port, and here for callers with a key only", 403)
        report = info.selftest()
        return json_response(200 if report.passed else 500, report.as_json())

    _add(app, "/v2/selftest", "selftest", selftest, method="POST")


def _add_extensions(app: Flask, inference: Inference) -> None:
    """Of Triton: what its clients and load generators ask for."""

    def statistics() -> Response:
        return json_response(200, inference.metrics.statistics())

    def index() -> Response:
        return json_response(200, v2.repository_index(inference.name, inference.revision, ready=inference.ready()))

    def config() -> Response:
        return json_response(200, model_config(inference.name, inference.signature))

    _add(app, "/v2/models/stats", "all_statistics", statistics)
    _add_for_model(app, inference, "/stats", "statistics", statistics)
    _add_for_model(app, inference, "/config", "config", config)
    _add(app, "/v2/repository/index", "index", index, method="POST")


def _add_dialects(app: Flask, inference: Inference, handler: InferenceHandler) -> None:
    def view(name: str | None = None) -> flask.Response:
        if name is not None and not inference.knows(name, None):
            return _flask(handler.rejected(_message(), _no_such_model(inference)))
        rule = flask.request.url_rule
        return _flask(handler.handle_blocking(_message(), DIALECT, handler.dialects[str(rule)]))

    for path in handler.dialects:
        app.add_url_rule(path, "dialect", view, methods=["POST"])


def _add_inference(app: Flask, inference: Inference, handler: InferenceHandler) -> None:
    @app.post("/predict")
    def predict() -> flask.Response:
        return _flask(handler.handle_blocking(_message(), PREDICT))

    @app.post("/v2/models/<name>/infer")
    @app.post("/v2/models/<name>/versions/<revision>/infer")
    def infer(name: str, revision: str | None = None) -> flask.Response:
        if not inference.knows(name, revision):
            return _flask(handler.rejected(_message(), _no_such_model(inference)))
        return _flask(handler.handle_blocking(_message(), V2))


def _add_pages(app: Flask, info: ServerInfo) -> None:
    html = (
        ("content-type", "text/html; charset=utf-8"),
        (
            "content-security-policy",
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'",
        ),
    )
    _add(app, "/openapi.json", "document", lambda: json_response(200, info.openapi))
    _add(app, "/", "page", lambda: Response(200, openapi.page("openapi.json").encode(), html))


def _add(app: Flask, path: str, endpoint: str, respond: Callable[[], Response], method: str = "GET") -> None:
    app.add_url_rule(path, endpoint, lambda: _flask(respond()), methods=[method])


def _add_for_model(
    app: Flask, inference: Inference, suffix: str, endpoint: str, respond: Callable[[], Response]
) -> None:
    """At the model's path and at its revision's; 404 for any other model or revision."""

    def view(name: str, revision: str | None = None) -> flask.Response:
        return _flask(respond() if inference.knows(name, revision) else _no_such_model(inference))

    for path in ("/v2/models/<name>", "/v2/models/<name>/versions/<revision>"):
        app.add_url_rule(f"{path}{suffix}", endpoint, view)


def _message() -> Request:
    """The request as it was read; Flask has an environ made from it."""
    return cast(Request, flask.request.environ[REQUEST])


def _no_such_model(inference: Inference) -> Response:
    return error_response(404, f"this server has model {inference.name} in revision {inference.revision} and no other")


def _flask(response: Response) -> flask.Response:
    return flask.Response(response.body, response.status, headers=dict(response.headers))
