"""Keys from an identity provider's JWKS address, fetched in a thread of their own: no request ever waits for them."""

import logging
from collections.abc import Callable, Sequence
from http.client import HTTPException, HTTPMessage
from threading import Event, Thread
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from tidegate_server.access.jwks import VerificationKey, parse_jwks
from tidegate_server.errors import BadSetting, ServerError

log = logging.getLogger(__name__)

MAX_DOCUMENT_BYTES = 2**20
READ_TIMEOUT_SECONDS = 5.0
START_TIMEOUT_SECONDS = 5.0
REFRESH_SECONDS = 300.0
MIN_REFRESH_SECONDS = 10.0
"""A token with an unknown key id causes a fetch; anybody can send such tokens."""
MAX_AGE_SECONDS = 86_400.0
"""A provider that is away for a day takes its keys along: one of them may have been withdrawn."""


class JwksUnavailable(ServerError):
    """The keys couldn't be fetched now."""


class JwksClient:
    """Call `start` once, `stop` at the end."""

    def __init__(self, address: str, algorithms: Sequence[str], clock: Callable[[], float]) -> None:
        """`clock` gives seconds and never goes back."""
        self._address, self._algorithms, self._clock = address, tuple(algorithms), clock
        self.version = 0
        self._raw = b""
        self._keys: tuple[VerificationKey, ...] = ()
        self._fetched_at = clock()
        self._attempted, self._refresh, self._stopped = Event(), Event(), Event()

    def start(self) -> None:
        """Waits for the first attempt, but not long: a provider that's away must not keep the server from starting."""
        Thread(target=self._run, name="token-keys", daemon=True).start()
        self._attempted.wait(START_TIMEOUT_SECONDS)

    def stop(self) -> None:
        """The thread ends once its fetch has."""
        self._stopped.set()
        self._refresh.set()

    def content(self) -> tuple[VerificationKey, ...]:
        """Empty when they were never fetched, or too long ago."""
        if self._clock() - self._fetched_at > MAX_AGE_SECONDS:
            return ()
        return self._keys

    def refresh(self) -> None:
        """There may be newer keys: fetches them soon."""
        self._refresh.set()

    def _run(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            self._refresh.clear()
            try:
                self._take(fetch(self._address))
                failures = 0
            except JwksUnavailable as error:
                failures += 1
                log.warning("the keys for tokens can't be fetched: %s", error)
            self._attempted.set()
            self._pause(failures)

    def _pause(self, failures: int) -> None:
        """No `refresh` shortens the pause below ten seconds, or the one after a failure."""
        if failures:
            self._stopped.wait(min(REFRESH_SECONDS, 2.0 ** min(failures, 9)))
        elif self._refresh.wait(REFRESH_SECONDS):
            self._stopped.wait(MIN_REFRESH_SECONDS)

    def _take(self, raw: bytes) -> None:
        if raw != self._raw:
            try:
                self._keys = parse_jwks(raw, self._algorithms)
            except BadSetting as error:
                raise JwksUnavailable(f"the document at TIDEGATE_JWT_KEYS_URL{error}") from None
            self._raw = raw
            self.version += 1
            log.info("%d keys for tokens were fetched", len(self._keys))
        self._fetched_at = self._clock()


class _NoRedirects(HTTPRedirectHandler):
    """Whoever can redirect could choose the keys."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        return None


def fetch(address: str) -> bytes:
    """The document. Raises JwksUnavailable, whose words hold nothing of the address but what the settings name."""
    request = Request(address, headers={"Accept": "application/json"})  # noqa: S310 - the settings allow https only
    try:
        with build_opener(_NoRedirects).open(request, timeout=READ_TIMEOUT_SECONDS) as response:
            raw: bytes = response.read(MAX_DOCUMENT_BYTES + 1)
    except HTTPError as error:
        error.close()
        raise JwksUnavailable(f"TIDEGATE_JWT_KEYS_URL answered {error.code}") from None
    except (OSError, HTTPException, ValueError) as error:
        cause = error.reason if isinstance(error, URLError) else error
        raise JwksUnavailable(f"TIDEGATE_JWT_KEYS_URL can't be reached ({type(cause).__name__})") from None
    if len(raw) > MAX_DOCUMENT_BYTES:
        raise JwksUnavailable("the document at TIDEGATE_JWT_KEYS_URL is larger than 1 MiB")
    return raw
