"""Keys from an identity provider's JWKS address, fetched in a thread of their own: no request ever waits for them."""

import logging
from collections.abc import Callable, Sequence
from http.client import HTTPException, HTTPMessage
from threading import Event, Thread
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from tidegate_server.access.trusted_keys import TrustedKey, parse_jwks
from tidegate_server.errors import BadSetting, ServerError

log = logging.getLogger(__name__)

LARGEST_DOCUMENT = 2**20
SECONDS_OF_SILENCE = 5.0
SECONDS_AT_START = 5.0
SECONDS_BETWEEN_FETCHES = 300.0
SECONDS_BETWEEN_ASKED_FETCHES = 10.0
"""A token with an unknown key id asks for a fetch; anybody can send such tokens."""
SECONDS_UNTIL_TOO_OLD = 86_400.0
"""A provider that is away for a day takes its keys along: one of them may have been withdrawn."""


class KeysUnavailable(ServerError):
    pass


class FetchedKeys:
    """Call `start` once, `stop` at the end."""

    def __init__(self, address: str, algorithms: Sequence[str], clock: Callable[[], float]) -> None:
        """`clock` gives seconds and never goes back."""
        self._address, self._algorithms, self._clock = address, tuple(algorithms), clock
        self.version = 0
        self._raw = b""
        self._keys: tuple[TrustedKey, ...] = ()
        self._fetched_at = clock()
        self._tried, self._wanted, self._stopped = Event(), Event(), Event()

    def start(self) -> None:
        """Waits for the first attempt, but not long: a provider that's away must not keep the server from starting."""
        Thread(target=self._run, name="token-keys", daemon=True).start()
        self._tried.wait(SECONDS_AT_START)

    def stop(self) -> None:
        self._stopped.set()
        self._wanted.set()

    def content(self) -> tuple[TrustedKey, ...]:
        """Empty when they were never fetched, or too long ago."""
        if self._clock() - self._fetched_at > SECONDS_UNTIL_TOO_OLD:
            return ()
        return self._keys

    def ask_again(self) -> None:
        """There may be newer keys."""
        self._wanted.set()

    def _run(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            self._wanted.clear()
            try:
                self._take(fetch(self._address))
                failures = 0
            except KeysUnavailable as error:
                failures += 1
                log.warning("the keys for tokens can't be fetched: %s", error)
            self._tried.set()
            self._rest(failures)

    def _rest(self, failures: int) -> None:
        """Nobody's asking shortens the pause below ten seconds, or the one after a failure."""
        if failures:
            self._stopped.wait(min(SECONDS_BETWEEN_FETCHES, 2.0 ** min(failures, 9)))
        elif self._wanted.wait(SECONDS_BETWEEN_FETCHES):
            self._stopped.wait(SECONDS_BETWEEN_ASKED_FETCHES)

    def _take(self, raw: bytes) -> None:
        if raw != self._raw:
            try:
                self._keys = parse_jwks(raw, self._algorithms)
            except BadSetting as error:
                raise KeysUnavailable(f"the document at TIDEGATE_JWT_KEYS_URL{error}") from None
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
    """The document. Raises KeysUnavailable, whose words hold nothing of the address but what the settings name."""
    request = Request(address, headers={"Accept": "application/json"})  # noqa: S310 - the settings allow https only
    try:
        with build_opener(_NoRedirects).open(request, timeout=SECONDS_OF_SILENCE) as response:
            raw: bytes = response.read(LARGEST_DOCUMENT + 1)
    except HTTPError as error:
        error.close()
        raise KeysUnavailable(f"TIDEGATE_JWT_KEYS_URL answered {error.code}") from None
    except (OSError, HTTPException, ValueError) as error:
        cause = error.reason if isinstance(error, URLError) else error
        raise KeysUnavailable(f"TIDEGATE_JWT_KEYS_URL can't be reached ({type(cause).__name__})") from None
    if len(raw) > LARGEST_DOCUMENT:
        raise KeysUnavailable("the document at TIDEGATE_JWT_KEYS_URL is larger than 1 MiB")
    return raw
