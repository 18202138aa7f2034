"""One dashboard from its start to its end: who listens, who follows, and the address that is printed."""

import signal
import sys
import threading
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TextIO

from tidegate.cli.common.errors import Unusable
from tidegate.cli.common.output import write_line
from tidegate.dashboard.access import Access, LocalAccess, TokenAccess
from tidegate.dashboard.app import PREFIX, Options, create_app
from tidegate.dashboard.feed import Feed
from tidegate.dashboard.http_server import PageServer
from tidegate.dashboard.measures import Measures
from tidegate.kube.api import KubernetesApi
from tidegate.kube.informer import Key
from tidegate.metrics.provider import MetricsProvider

LOOPBACK, ALL_ADDRESSES = "127.0.0.1", "0.0.0.0"
PORT = 8181
SWITCH_SECONDS = 0.001
"""How long a thread may keep the others waiting: a hundred streams must not hold up a page."""


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for."""

    namespaces: Sequence[str] = ()
    """Empty for all."""
    in_cluster: bool = False
    controls: bool = True
    port: int | None = None
    """None for the usual one, or any where that is taken; 0 for any."""
    prefix: str = ""
    pages: int = 100
    opens: bool = False
    metrics: MetricsProvider | None = None
    """Where error rates and latency are read; None for nowhere."""


class Dashboard:
    """Listens and follows from `start` to `stop`."""

    def __init__(self, api: KubernetesApi, wanted: Wanted) -> None:
        """Raises Unusable where the settings make no sense or the port is taken."""
        if wanted.prefix and not PREFIX.fullmatch(wanted.prefix):
            raise Unusable(f"--prefix is {wanted.prefix!r}; it must be a path such as /tidegate")
        self.access: Access = TokenAccess(api) if wanted.in_cluster else LocalAccess(api)
        self.feed = Feed(api, wanted.namespaces)
        self.server = _listen(ALL_ADDRESSES if wanted.in_cluster else LOOPBACK, wanted)
        self.prefix = wanted.prefix.rstrip("/")
        options = Options(
            controls=wanted.controls,
            prefix=self.prefix,
            streams=wanted.pages,
            # Cookies know no ports: two dashboards on one machine would sign each other out.
            cookie="tidegate" if wanted.in_cluster else f"tidegate-{self.server.port}",
            version=version("tidegate"),
        )
        self._measures = Measures(wanted.metrics, self._measured) if wanted.metrics else None
        self.server.wsgi_app = create_app(self.feed, self.access, options, self._measures)
        self._thread = threading.Thread(target=self.server.serve, name="pages", daemon=True)

    @property
    def address(self) -> str:
        """Where its pages begin, as seen from this machine."""
        return f"http://{LOOPBACK}:{self.server.port}{self.prefix}"

    def start(self) -> None:
        """In threads of its own."""
        self.feed.start()
        if self._measures:
            self._measures.start()
        self._thread.start()

    def wait(self, ended: threading.Event) -> bool:
        """Whether it was ended, rather than by itself."""
        while self._thread.is_alive() and not ended.wait(1.0):
            pass
        return ended.is_set()

    def stop(self) -> None:
        """Hangs up on everybody."""
        self.feed.stop()
        if self._measures:
            self._measures.stop()
        self.server.stop()

    def _measured(self, key: Key) -> None:
        self.feed.changes.note([key])


def serve(api: KubernetesApi, wanted: Wanted, out: TextIO) -> int:
    """The exit code, after SIGTERM or Ctrl-C."""
    sys.setswitchinterval(SWITCH_SECONDS)
    dashboard = Dashboard(api, wanted)
    ended = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: ended.set())
    dashboard.start()
    if isinstance(dashboard.access, LocalAccess):
        _tell(dashboard, dashboard.access, wanted, out)
    ended_well = dashboard.wait(ended)
    dashboard.stop()
    return 0 if ended_well else 1


def _tell(dashboard: Dashboard, access: LocalAccess, wanted: Wanted, out: TextIO) -> None:
    start = f"{dashboard.address}/sign-in?ticket="
    write_line(out, f"{start}{access.secret}\nThe address has the key to the page. Ctrl-C ends it.")
    if wanted.opens:
        webbrowser.open(start + access.ticket())


def _listen(host: str, wanted: Wanted) -> PageServer:
    ports = (PORT, 0) if wanted.port is None else (wanted.port,)
    for port in ports:
        try:
            return PageServer((host, port), wanted.pages)
        except OSError as error:
            reason = error.strerror or str(error)
    raise Unusable(f"{host}:{ports[-1]} can't be listened at ({reason}); choose another port with --port")
