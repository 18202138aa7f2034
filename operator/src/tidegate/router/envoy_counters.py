"""Reads the counters of some clusters from Envoy's admin port, and says which run of Envoy has counted them.

Envoy's main thread looks at every counter for each question, some 30 ms for a thousand models, so questions are asked
in turn and never side by side. Counters are those of the moment; histograms are those of Envoy's last flush.
"""

import http.client
import json
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from tidegate.router.bootstrap import STARTED

LONGEST_PATTERN = 16_000
"""Characters of a regular expression. Envoy takes up to 60,000 in a request, and gets slow far below that."""
COUNTED = (
    "(upstream_(rq_(total|completed|active|retry|cancelled|pending_overflow|pending_failure_eject|5xx|429|time)"
    "|cx_none_healthy)|grpc[.][0-9]+|slice_[0-9a-f_]+[.]upstream_rq_(completed|5xx|429))"
)
_FORM = f"^cluster[.](%s)[.]{COUNTED}$"


class EnvoyUnavailable(Exception):
    """Envoy gave no answer that is of use; the message says why."""


@dataclass(frozen=True)
class Reading:
    """`started` is constant while that Envoy lives; all that was counted up to `time` is in `metrics`.

    Both are seconds since 1970.
    """

    started: float
    time: float
    metrics: str


class EnvoyCounters:
    """One kept connection to the admin port. What came over one connection was counted by one run of Envoy."""

    def __init__(self, port: int, *, timeout_seconds: float = 2.0, wait_seconds: float = 1.0) -> None:
        self._port, self._timeout, self._wait = port, timeout_seconds, wait_seconds
        self._turn = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None
        self._started = 0.0

    def read(self, clusters: Sequence[str]) -> Reading:
        """The counters of exactly these. Raises EnvoyUnavailable, also where others wait already."""
        if not self._turn.acquire(timeout=self._wait):
            raise EnvoyUnavailable("Envoy is still busy with the questions before this one")
        try:
            # A connection that was kept may have ended meanwhile, a new one has no such excuse.
            return self._tried(clusters) if self._connection else self._read(clusters)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._disconnect()
            raise EnvoyUnavailable(f"Envoy doesn't answer: {error or type(error).__name__}") from error
        finally:
            self._turn.release()

    def _tried(self, clusters: Sequence[str]) -> Reading:
        try:
            return self._read(clusters)
        except (ConnectionError, http.client.HTTPException):
            self._disconnect()
            return self._read(clusters)

    def _read(self, clusters: Sequence[str]) -> Reading:
        if self._connection is None:
            self._connect()
        read_at = time.time()  # noqa: TID251 - the router's clock, as the answer says
        texts = [self._get(f"/stats/prometheus?filter={pattern}") for pattern in patterns(clusters)]
        return Reading(self._started, read_at, merged(texts))

    def _connect(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=self._timeout)
        connection.connect()
        connection.auto_open = 0  # another connection might be to another run of Envoy
        self._connection = connection
        self._started = started_of(self._get("/server_info"))

    def _get(self, path: str) -> str:
        if self._connection is None:
            raise http.client.NotConnected("the connection is closed")
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        text = response.read().decode()
        if response.status != 200:
            raise http.client.HTTPException(f"status {response.status} of {path.partition('?')[0]}")
        return text

    def close(self) -> None:
        """Ends the connection; a reading after this makes another."""
        with self._turn:
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def patterns(clusters: Iterable[str]) -> Iterator[str]:
    """Regular expressions that match the counters of exactly these clusters, as a URL has them."""
    listed: list[str] = []
    length = 0
    for cluster in dict.fromkeys(clusters):
        if listed and length + len(cluster) > LONGEST_PATTERN:
            yield _pattern(listed)
            listed, length = [], 0
        listed.append(cluster)
        length += len(cluster) + 1
    if listed:
        yield _pattern(listed)


def _pattern(clusters: Sequence[str]) -> str:
    # Names of Kubernetes: letters, digits, hyphens and slashes, none of which means anything but itself.
    return quote(_FORM % "|".join(clusters), safe="/()[]$")


def merged(texts: Sequence[str]) -> str:
    """One exposition text of several: each metric's series together, under its type."""
    if len(texts) == 1:
        return texts[0]
    families: dict[str, list[str]] = {}
    for text in texts:
        family: list[str] = []
        for line in text.splitlines():
            if line.startswith("#"):
                family = families.setdefault(line, [])
            elif line:
                family.append(line)
    return "".join(f"{line}\n" for head, series in families.items() for line in (head, *series))


def started_of(server_info: str) -> float:
    """When the Envoy that says this was started. Raises ValueError."""
    try:
        return float(json.loads(server_info)["node"]["metadata"][STARTED])
    except (KeyError, TypeError) as error:
        raise ValueError("it doesn't say when it was started, as one does that `tidegate router-envoy` runs") from error
