"""The Flask application: which page answers what, and to whom. What is in a page is made in `pages`."""

import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, abort, g, make_response, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException

from tidegate.cli.common.errors import NotDone
from tidegate.cli.control.command import by_kubectl
from tidegate.dashboard.access import Access, Forms, LocalAccess, Viewer, may_see
from tidegate.dashboard.asking import Heard, ask, foresee
from tidegate.dashboard.controls import Action, Asked
from tidegate.dashboard.feed import Feed
from tidegate.dashboard.measures import Measures
from tidegate.dashboard.pages import SORTS, STATES, TEMPLATES, Pages, Query
from tidegate.dashboard.streams import Places, Stream
from tidegate.errors import ClusterUnavailable, MalformedObject, TidegateError
from tidegate.kube.informer import Key
from tidegate.model.control import LONGEST_WHY

PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+){0,8}/?")
"""What may come before every path: no host can be read into it."""
LOOPBACK = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?", re.IGNORECASE)
MOST_STREAMS = 100
COOKIE = "tidegate"
LONGEST_COOKIE = 3800
"""What browsers keep, less the cookie's name and attributes."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With no-referrer a browser wouldn't say where a form comes from either.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
ASSET_SECONDS = 3600
MOST_NOTES = 100
View = Callable[..., Any]


@dataclass(frozen=True)
class Options:
    """How one dashboard is set up."""

    controls: bool = True
    """Whether pages have them; whether somebody may use one is for the API server to say."""
    prefix: str = ""
    """What comes before every path, where nothing in front says it by X-Forwarded-Prefix."""
    streams: int = MOST_STREAMS
    cookie: str = COOKIE
    version: str = ""


def create_app(feed: Feed, access: Access, options: Options, measures: Measures | None = None) -> Any:
    """A WSGI application."""
    app = Flask("tidegate.dashboard")
    app.config["MAX_CONTENT_LENGTH"] = 16 * 1024
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals["version"] = options.version
    dashboard = _Dashboard(feed, access, options, Pages(feed, options.controls, measures))
    dashboard.register(app)
    for name in TEMPLATES.list_templates(extensions=["html"]):  # compiled now, not while the first reader waits
        (TEMPLATES if "/" in name else app.jinja_env).get_template(name)
    app.wsgi_app = _Prefixed(app.wsgi_app, options.prefix)  # type: ignore[method-assign]
    return app


class _Prefixed:
    """Takes the prefix from what a proxy says, or from the options, so that links lead back through the proxy."""

    def __init__(self, application: Any, prefix: str) -> None:
        self._application, self._prefix = application, prefix.rstrip("/")

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        said = environ.get("HTTP_X_FORWARDED_PREFIX", "")
        prefix = said.rstrip("/") if said and PREFIX.fullmatch(said) else self._prefix
        path = environ.get("PATH_INFO", "")
        if prefix and (path == prefix or path.startswith(prefix + "/")):  # not every proxy takes it away
            environ["PATH_INFO"] = path[len(prefix) :] or "/"
        environ["SCRIPT_NAME"] = prefix
        if environ.get("HTTP_X_FORWARDED_PROTO") == "https":
            environ["wsgi.url_scheme"] = "https"
        return self._application(environ, start_response)


class _Dashboard:
    """The routes, and what they share."""

    def __init__(self, feed: Feed, access: Access, options: Options, pages: Pages) -> None:
        self._feed, self._access, self._options, self._pages = feed, access, options, pages
        self._places = Places(options.streams)
        self._forms = Forms()
        self._notes = _Notes()

    def register(self, app: Flask) -> None:
        """Adds them."""
        app.before_request(self._look_at_host)
        app.after_request(self._add_headers)
        app.register_error_handler(HTTPException, self._http_error)
        app.register_error_handler(ClusterUnavailable, self._cluster_error)
        app.register_error_handler(NotDone, self._not_done)
        app.register_error_handler(MalformedObject, self._not_done)
        app.add_url_rule("/healthz", "healthz", self._healthz)
        app.add_url_rule("/sign-in", "sign_in", self._sign_in, methods=["GET", "POST"])
        app.add_url_rule("/sign-out", "sign_out", self._known(self._sign_out), methods=["POST"])
        app.add_url_rule("/", "rollouts", self._known(self._rollouts))
        app.add_url_rule("/events", "events", self._known(self._events))
        rollout = "/rollouts/<namespace>/<name>"
        app.add_url_rule(rollout, "rollout", self._known(self._rollout))
        app.add_url_rule(f"{rollout}/events", "rollout_events", self._known(self._rollout_events))
        if self._options.controls:
            control = f"{rollout}/controls/<action>"
            app.add_url_rule(control, "confirm", self._known(self._confirm))
            app.add_url_rule(control, "ask", self._known(self._ask), methods=["POST"])

    def _known(self, view: View) -> View:
        """For people that are known; others are asked to sign in."""

        @wraps(view)
        def answer(**values: str) -> Any:
            viewer = self._access.viewer(self._shown())
            if viewer is None:
                return self._ask_to_sign_in()
            g.viewer = viewer
            return view(viewer, **values)

        return answer

    def _shown(self) -> str:
        """The bearer token of the header, which a proxy may have put there, or what is in the cookie."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._access.wants_token:
            return token.strip()
        return request.cookies.get(self._options.cookie, "")

    # Pages

    def _rollouts(self, viewer: Viewer) -> Any:
        page = self._pages.rollouts(viewer, Query.of(request.args), request.script_root)
        return self._page("rollouts.html", page=page, states=STATES, sorts=SORTS)

    def _events(self, viewer: Viewer) -> Any:
        query, root = Query.of(request.args), request.script_root
        return self._stream(None, lambda: self._pages.rollouts_parts(viewer, query, root))

    def _rollout(self, viewer: Viewer, namespace: str, name: str) -> Any:
        page = self._pages.rollout(viewer, self._key(viewer, namespace, name), request.script_root)
        if page is None:
            abort(HTTPStatus.NOT_FOUND, f"there is no ModelDeployment {namespace}/{name}, or it isn't known yet")
        return self._page("rollout.html", page=page, heard=self._notes.take(request.args.get("note", "")))

    def _rollout_events(self, viewer: Viewer, namespace: str, name: str) -> Any:
        key, root = self._key(viewer, namespace, name), request.script_root
        return self._stream(key, lambda: self._pages.rollout_parts(viewer, key, root))

    def _key(self, viewer: Viewer, namespace: str, name: str) -> Key:
        if not may_see(viewer, namespace):
            abort(HTTPStatus.FORBIDDEN, f"{viewer.name} may not list modeldeployments in the namespace {namespace}")
        return namespace, name

    def _stream(self, key: Key | None, parts: Callable[[], Any]) -> Response:
        if not self._places.take():
            return _plain(f"{self._places.most} pages are open already; close one", HTTPStatus.SERVICE_UNAVAILABLE)
        answer = Response(Stream(self._feed.changes, key, parts, self._places), mimetype="text/event-stream")
        answer.headers["X-Accel-Buffering"] = "no"  # what nginx and others do with it is to let it through
        return answer

    def _page(self, template: str, status: int = HTTPStatus.OK, **values: Any) -> Response:
        shown = {"access": self._access, "viewer": g.get("viewer"), "mark": self._forms.mark(g.get("viewer"))}
        return make_response(render_template(template, **shown, **values), status)

    # Controls

    def _confirm(self, viewer: Viewer, namespace: str, name: str, action: str) -> Any:
        """What will happen, to be confirmed."""
        asked, view, made = foresee(viewer, self._key(viewer, namespace, name), _action(action))
        kubectl = by_kubectl(namespace, name, made)
        return self._page("confirm.html", asked=asked, view=view, request=made, kubectl=kubectl)

    def _ask(self, viewer: Viewer, namespace: str, name: str, action: str) -> Any:
        """Writes it in the viewer's name."""
        self._refuse_other_sites()
        key, chosen, form = self._key(viewer, namespace, name), _action(action), request.form
        asked = Asked(chosen, form.get("revision", ""), form.get("step", ""), form.get("why", "")[:LONGEST_WHY])
        note = self._notes.keep(ask(viewer, key, asked))
        return redirect(url_for("rollout", namespace=namespace, name=name, note=note), HTTPStatus.SEE_OTHER)

    # Signing in

    def _sign_in(self) -> Any:
        if isinstance(self._access, LocalAccess) and (ticket := request.args.get("ticket", "")):
            return self._signed_in(self._access.secret) if self._access.redeem(ticket) else self._ask_to_sign_in()
        if request.method == "GET" or not self._access.wants_token:
            return self._ask_to_sign_in(HTTPStatus.OK)
        self._refuse_other_sites()
        token = request.form.get("token", "").strip()
        if len(token) > LONGEST_COOKIE:
            return self._ask_to_sign_in(
                said=f"the token has {len(token)} characters, and browsers keep no more than "
                f"{LONGEST_COOKIE}: let a proxy send it (docs/dashboard.md)"
            )
        if self._access.viewer(token) is None:
            return self._ask_to_sign_in(said="the API server doesn't take that token; it may have ended")
        return self._signed_in(token)

    def _sign_out(self, _: Viewer) -> Any:
        self._refuse_other_sites()
        answer = redirect(url_for("sign_in"))
        answer.delete_cookie(self._options.cookie, path=request.script_root or "/")
        return answer

    def _signed_in(self, secret: str) -> Response:
        answer = make_response(redirect(_path_only(request.args.get("next", "")) or url_for("rollouts")))
        answer.set_cookie(
            self._options.cookie,
            secret,
            path=request.script_root or "/",
            httponly=True,
            samesite="Lax",
            secure=request.is_secure,
        )
        return answer

    def _ask_to_sign_in(self, status: int = HTTPStatus.UNAUTHORIZED, said: str = "") -> Response:
        if request.path.endswith("/events"):
            return _plain("sign in first", HTTPStatus.UNAUTHORIZED)
        here = "" if request.endpoint in ("sign_in", None) else request.script_root + request.full_path.rstrip("?")
        return self._page("sign_in.html", status, said=said, then=_path_only(request.args.get("next", here)))

    # What holds for all

    def _look_at_host(self) -> None:
        """A page of elsewhere whose name leads to this machine (DNS rebinding) gets nothing."""
        if not self._access.wants_token and not LOOPBACK.fullmatch(request.host):
            abort(
                HTTPStatus.MISDIRECTED_REQUEST, f"this dashboard is for this machine alone, and not for {request.host}"
            )

    def _refuse_other_sites(self) -> None:
        """A form counts only from a page of ours, that we gave to the same person."""
        site = request.headers.get("Sec-Fetch-Site")
        origin = request.headers.get("Origin", "")
        if site not in (None, "same-origin") or (site is None and origin.partition("://")[2] != request.host):
            abort(HTTPStatus.FORBIDDEN, "that form isn't from a page of this dashboard; nothing was changed")
        if not self._forms.is_ours(request.form.get("mark", ""), g.get("viewer")):
            abort(HTTPStatus.FORBIDDEN, "the page was older than this dashboard; load it again. Nothing was changed")

    def _add_headers(self, answer: Response) -> Response:
        answer.headers.update(HEADERS)
        answer.headers["Cache-Control"] = f"max-age={ASSET_SECONDS}" if request.endpoint == "static" else "no-store"
        return answer

    def _healthz(self) -> Response:
        return _plain("ok", HTTPStatus.OK)

    def _http_error(self, error: HTTPException) -> Any:
        if error.code is None or error.code < 400:
            return error  # a redirect
        return self._page("error.html", error.code, title=error.name, said=error.description)

    def _not_done(self, error: TidegateError) -> Response:
        return self._page("error.html", HTTPStatus.CONFLICT, title="Nothing was changed", said=str(error))

    def _cluster_error(self, error: ClusterUnavailable) -> Response:
        title = "The API server doesn't answer" if error.status is None else "The API server refused"
        return self._page("error.html", HTTPStatus.BAD_GATEWAY, title=title, said=error.said)


class _Notes:
    """What came of a control, until the page that is shown next takes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Heard] = OrderedDict()

    def keep(self, heard: Heard) -> str:
        """What it is taken by."""
        name = secrets.token_urlsafe(12)
        with self._lock:
            self._kept[name] = heard
            while len(self._kept) > MOST_NOTES:
                self._kept.popitem(last=False)
        return name

    def take(self, name: str) -> Heard | None:
        """Once."""
        with self._lock:
            return self._kept.pop(name, None)


def _plain(text: str, status: int) -> Response:
    return Response(text + "\n", status, mimetype="text/plain")


def _action(text: str) -> Action:
    try:
        return Action(text)
    except ValueError:
        abort(HTTPStatus.NOT_FOUND, f"there is no control {text[:40]!r}")


def _path_only(target: str) -> str:
    """The target where it is a path of this very site; else nothing."""
    return target if re.fullmatch(r"/(?![/\\])[^\\\x00-\x1f]{0,2000}", target) else ""
