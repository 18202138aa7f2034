"""The one question at every door: who is this, and may they ask for inference? No answer holds a key or a token."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic, time  # noqa: TID251 - the shell that gives everybody here their clock

from tidegate_server.access.caller import ANYONE, Caller
from tidegate_server.access.fetched_keys import FetchedKeys
from tidegate_server.access.keys import HashedKey, name_of, parse_keys
from tidegate_server.access.settings import AccessSettings, JwtSettings
from tidegate_server.access.tokens import LONGEST_TOKEN, Tokens
from tidegate_server.access.trusted_keys import TrustedKey, parse_keys_file, parse_secret
from tidegate_server.access.watched_file import WatchedFile
from tidegate_server.errors import NotAllowed

log = logging.getLogger(__name__)

CHALLENGE = 'Bearer realm="inference"'
"""What goes into WWW-Authenticate beside every 401."""

_NOTHING_SENT = "this server asks who you are; send 'Authorization: Bearer KEY' or 'X-API-Key: KEY'"
_UNKNOWN = "the key isn't known here; ask whoever runs this server for one"


class Guard:
    """Any thread may call `check`."""

    def __init__(self, keys: WatchedFile[tuple[HashedKey, ...]] | None = None, tokens: Tokens | None = None) -> None:
        self._keys, self._tokens = keys, tokens
        self.is_open = keys is None and tokens is None
        self._stop: Callable[[], None] = lambda: None

    @classmethod
    def from_settings(cls, settings: AccessSettings) -> "Guard":
        """Reads files, starts fetching keys, and says in the log who may come in. Raises BadSetting."""
        keys = None
        if settings.api_keys_file is not None:
            keys = WatchedFile(settings.api_keys_file, "TIDEGATE_API_KEYS_FILE", parse_keys, monotonic)
        guard = cls(keys)
        if settings.jwt is not None:
            guard._take_tokens(settings.jwt)
        log.log(logging.WARNING if guard.is_open else logging.INFO, "%s", guard.describe())
        return guard

    def _take_tokens(self, settings: JwtSettings) -> None:
        source, ask, self._stop = _key_source(settings)
        self._tokens = Tokens(settings, source, ask, time)
        self.is_open = False

    def describe(self) -> str:
        """One sentence for the log."""
        if self.is_open:
            return "inference is open to whoever reaches this server; set TIDEGATE_API_KEYS_FILE or TIDEGATE_JWT_*"
        kinds = []
        if self._keys is not None:
            kinds.append(f"API keys ({len(self._keys.content())} of them)")
        if self._tokens is not None:
            kinds.append("JSON Web Tokens")
        return f"inference is for callers with {' or '.join(kinds)}"

    def check(self, headers: Mapping[str, str]) -> Caller:
        """Who sent these headers or gRPC metadata. Names are looked up in lower case.

        Raises NotAllowed, with status 401 (to be sent with CHALLENGE) or 403.
        """
        if self.is_open:
            return ANYONE
        if key := headers.get("x-api-key"):
            return self._by_key(key) or _refuse(_UNKNOWN)
        scheme, _, credential = headers.get("authorization", "").partition(" ")
        credential = credential.strip()
        if scheme.lower() != "bearer" or not credential:
            return _refuse(_NOTHING_SENT)
        return self._by_key(credential) or self._by_token(credential)

    def close(self) -> None:
        """Ends the fetching of keys."""
        self._stop()

    def _by_key(self, key: str) -> Caller | None:
        if self._keys is None or not key.isascii() or len(key) > LONGEST_TOKEN:
            return None
        name = name_of(key, self._keys.content())
        return None if name is None else Caller(name, "key")

    def _by_token(self, token: str) -> Caller:
        if self._tokens is None or not token.isascii() or token.count(".") != 2:
            return _refuse(_UNKNOWN)
        return self._tokens.check(token)


def _refuse(sentence: str) -> Caller:
    raise NotAllowed(sentence)


def _key_source(
    settings: JwtSettings,
) -> tuple[WatchedFile[tuple[TrustedKey, ...]] | FetchedKeys, Callable[[], None], Callable[[], None]]:
    """Where the keys come from, how to ask for newer ones, and how to stop."""
    if settings.keys_url:
        fetched = FetchedKeys(settings.keys_url, settings.algorithms, monotonic)
        fetched.start()
        return fetched, fetched.ask_again, fetched.stop
    if settings.keys_file is not None:
        parse = partial(parse_keys_file, algorithms=settings.algorithms)
        return WatchedFile(settings.keys_file, "TIDEGATE_JWT_KEYS_FILE", parse, monotonic), _nothing, _nothing
    if settings.secret_file is not None:
        return (
            WatchedFile(settings.secret_file, "TIDEGATE_JWT_SECRET_FILE", parse_secret, monotonic),
            _nothing,
            _nothing,
        )
    raise ValueError("settings without a source of keys are refused before")


def _nothing() -> None:
    """A file is looked at anyway."""
