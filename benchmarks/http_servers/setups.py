"""The HTTP servers that are compared: one worker process each, in the settings that their documentation recommends.

All run the same program (`programs/handler.py`) without an access log, with the fast parser and loop where there
is a choice, and with 16 MiB for bodies and 75 s for idle connections where there is such a setting.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.server.peers import Peer
from benchmarks.server.protocols import JSON
from benchmarks.server.setups import TIDEGATE, Launch, LaunchContext, ServerSetup, tidegate_setup

PROGRAMS = Path(__file__).with_name("programs")
BODY_BYTES = 16 * 2**20
IDLE_SECONDS = "75"
GRACE_SECONDS = "25"
THREADS = "16"


@dataclass(frozen=True)
class Package(Peer):
    """One from the package index. `idle_setting` bounds how long an idle connection is kept; '' where nothing does."""

    idle_setting: str = ""

    @property
    def pins(self) -> Path:
        """The file with the exact versions of all that it needs."""
        return PROGRAMS / f"{self.package}.txt"


@dataclass(frozen=True)
class ComparedServer:
    """One row. `probed`: its facts are tested, too; they aren't where another row has the same code."""

    setup: ServerSetup
    idle_setting: str
    probed: bool = True

    @property
    def label(self) -> str:
        """What its row is called."""
        return f"{self.setup.server}, {self.setup.setting}"


def compared_servers_of(package: Package, programs: Path) -> list[ComparedServer]:
    """Each setting of one package, started from its programs' folder."""
    return [ComparedServer(setup, package.idle_setting) for setup in package.settings(package, programs)]


def tidegate_servers() -> list[ComparedServer]:
    """The model server as it is, and its connections alone with the handler of all others behind them."""

    def launch_bare(context: LaunchContext) -> Launch:
        return Launch([sys.executable, str(PROGRAMS / "run_tidegate.py")], _environment(context))

    one_process = tidegate_setup({"TIDEGATE_PROCESSES": "1"})
    whole = replace(one_process, setting="the whole server", protocols=(JSON,))
    bare = ServerSetup(TIDEGATE, "its front with this handler", (JSON,), launch_bare)
    idle_setting = "TIDEGATE_KEEPALIVE_SECONDS"
    return [ComparedServer(bare, idle_setting, probed=False), ComparedServer(whole, idle_setting)]


def handler_alone(name: str, model: Path, body: Path, seconds: float) -> Launch:
    """No server at all: the handler called in a loop, which is the limit for all of them."""
    command = [sys.executable, str(PROGRAMS / "alone.py"), str(body), str(seconds)]
    return Launch(command, _bench_environment(model, name))


def _environment(context: LaunchContext) -> dict[str, str]:
    return {**_bench_environment(context.model, context.name), "BENCH_PORT": str(context.port)}


def _bench_environment(model: Path, name: str) -> dict[str, str]:
    return {"PYTHONPATH": str(PROGRAMS), "BENCH_MODEL": str(model), "BENCH_NAME": name}


Command = Callable[[LaunchContext], list[str]]


def _setup(package: Peer, setting: str, command: Command) -> ServerSetup:
    return ServerSetup(package.name, setting, (JSON,), lambda context: Launch(command(context), _environment(context)))


def _gunicorn(package: Peer, programs: Path) -> list[ServerSetup]:
    def command(context: LaunchContext, app: str) -> list[str]:
        limits = ["--keep-alive", IDLE_SECONDS, "--graceful-timeout", GRACE_SECONDS]
        where = ["--bind", f"127.0.0.1:{context.port}", "--no-control-socket"]
        worker = ["--worker-class", "gthread", "--workers", "1", "--threads", THREADS]
        return [str(programs / "gunicorn"), *worker, *limits, *where, app]

    return [
        _setup(package, "gthread, 16 threads", lambda context: command(context, "wsgi_app:app")),
        _setup(package, "gthread, Flask", lambda context: command(context, "flask_app:app")),
    ]


def _granian(package: Peer, programs: Path) -> list[ServerSetup]:
    def command(context: LaunchContext, interface: str, app: str, *more: str) -> list[str]:
        where = ["--host", "127.0.0.1", "--port", str(context.port), "--workers-kill-timeout", GRACE_SECONDS]
        what = ["--interface", interface, "--http", "1", "--no-ws", "--loop", "uvloop", "--workers", "1"]
        return [str(programs / "granian"), *what, *where, *more, app]

    def wsgi(threads: str, app: str) -> Command:
        return lambda context: command(context, "wsgi", app, "--blocking-threads", threads)

    words = {"1": "1 thread", "2": "2 threads", THREADS: f"{THREADS} threads"}
    return [
        *(_setup(package, f"WSGI, {said}", wsgi(threads, "wsgi_app:app")) for threads, said in words.items()),
        _setup(package, "WSGI, 2 threads, Flask", wsgi("2", "flask_app:app")),
        _setup(package, "ASGI", lambda context: command(context, "asgi", "asgi_app:app")),
        _setup(package, "RSGI", lambda context: command(context, "rsgi", "rsgi_app:app")),
    ]


def _waitress(package: Peer, programs: Path) -> list[ServerSetup]:
    def command(context: LaunchContext) -> list[str]:
        limits = [f"--max-request-body-size={BODY_BYTES}", "--connection-limit=1000", "--asyncore-use-poll"]
        where = [f"--listen=127.0.0.1:{context.port}", f"--threads={THREADS}"]
        return [str(programs / "waitress-serve"), *where, *limits, "wsgi_app:app"]

    return [_setup(package, "16 threads", command)]


def _gevent(package: Peer, programs: Path) -> list[ServerSetup]:
    command = [str(programs / "python"), str(PROGRAMS / "run_gevent.py")]
    return [_setup(package, "pywsgi", lambda _place: command)]


def _uvicorn(package: Peer, programs: Path) -> list[ServerSetup]:
    def command(context: LaunchContext) -> list[str]:
        speed = ["--loop", "uvloop", "--http", "httptools", "--ws", "none", "--lifespan", "off", "--no-access-log"]
        limits = ["--timeout-keep-alive", IDLE_SECONDS, "--timeout-graceful-shutdown", GRACE_SECONDS]
        return [
            str(programs / "uvicorn"),
            *speed,
            *limits,
            "--host",
            "127.0.0.1",
            "--port",
            str(context.port),
            "asgi_app:app",
        ]

    return [_setup(package, "ASGI", command)]


PACKAGES = (
    Package("gunicorn", "gunicorn", _gunicorn, "--keep-alive"),
    Package("granian", "granian", _granian, "--http1-header-read-timeout, at most 60 s"),
    Package("waitress", "waitress", _waitress, "--channel-timeout"),
    Package("gevent", "gevent", _gevent),
    Package("uvicorn", "uvicorn", _uvicorn, "--timeout-keep-alive"),
)
