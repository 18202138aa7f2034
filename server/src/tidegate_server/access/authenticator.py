"""Who sends a request, and may they have inference? The same for every protocol. No message holds a key or a token."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic, time  # noqa: TID251 - the shell that gives everybody here their clock

from tidegate_server.access.api_keys import Keys, key_name, parse_keys
from tidegate_server.access.jwks import parse_keys_file, parse_secret
from tidegate_server.access.jwks_client import JwksClient
from tidegate_server.access.jwt_verifier import MAX_TOKEN_BYTES, JwtVerifier, KeySource
from tidegate_server.access.principal import ANONYMOUS, Principal
from tidegate_server.access.settings import AccessSettings, JwtSettings
from tidegate_server.access.watched_file import WatchedFile
from tidegate_server.errors import NotAllowed

log = logging.getLogger(__name__)

CHALLENGE = 'Bearer realm="inference"'
"""What goes into WWW-Authenticate beside every 401."""

_NO_CREDENTIALS = "this server asks who you are; send 'Authorization: Bearer KEY' or 'X-API-Key: KEY'"
_UNKNOWN_KEY = "the key isn't known here; ask whoever runs this server for one"


class Authenticator:
    """Any thread may call `check`."""

    def __init__(self, keys: WatchedFile[Keys] | None = None, tokens: JwtVerifier | None = None) -> None:
        """Open to everybody when both are None."""
        self._keys, self._tokens = keys, tokens
        self.is_open = keys is None and tokens is None
        self._stop: Callable[[], None] = lambda: None

    @classmethod
    def from_settings(cls, settings: AccessSettings) -> "Authenticator":
        """Reads files, starts fetching keys, and says in the log who may come in. Raises BadSetting."""
        keys = None
        if settings.api_keys_file is not None:
            keys = WatchedFile(settings.api_keys_file, "TIDEGATE_API_KEYS_FILE", parse_keys, monotonic)
        authenticator = cls(keys)
        if settings.jwt is not None:
            authenticator._accept_tokens(settings.jwt)
        log.log(logging.WARNING if authenticator.is_open else logging.INFO, "%s", authenticator.describe())
        return authenticator

    def _accept_tokens(self, settings: JwtSettings) -> None:
        keys, refresh, self._stop = _key_source(settings)
        self._tokens = JwtVerifier(settings, keys, refresh, time)
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

    def check(self, headers: Mapping[str, str]) -> Principal:
        """Who sent these headers or gRPC metadata. Names are looked up in lower case.

        Raises NotAllowed, with status 401 (to be sent with CHALLENGE) or 403.
        """
        if self.is_open:
            return ANONYMOUS
        key = headers.get("x-api-key")
        if key and (principal := self._by_key(key)) is not None:
            return principal
        # A gateway may have put its own key there; what the caller says of itself counts as well.
        scheme, _, credential = headers.get("authorization", "").partition(" ")
        credential = credential.strip()
        if scheme.lower() != "bearer" or not credential:
            return _reject(_UNKNOWN_KEY if key else _NO_CREDENTIALS)
        return self._by_key(credential) or self._by_token(credential)

    def close(self) -> None:
        """Ends the fetching of keys."""
        self._stop()

    def _by_key(self, key: str) -> Principal | None:
        if self._keys is None or not key.isascii() or len(key) > MAX_TOKEN_BYTES:
            return None
        name = key_name(key, self._keys.content())
        return None if name is None else Principal(name, "key")

    def _by_token(self, token: str) -> Principal:
        if self._tokens is None or not token.isascii() or token.count(".") != 2:
            return _reject(_UNKNOWN_KEY)
        return self._tokens.check(token)


def _reject(sentence: str) -> Principal:
    raise NotAllowed(sentence)


def _key_source(settings: JwtSettings) -> tuple[KeySource, Callable[[], None], Callable[[], None]]:
    """Where the keys come from, how to ask for newer ones, and how to stop. A file is looked at anyway."""
    if settings.keys_url:
        client = JwksClient(settings.keys_url, settings.algorithms, monotonic)
        client.start()
        return client, client.refresh, client.stop
    if settings.keys_file is not None:
        parse = partial(parse_keys_file, algorithms=settings.algorithms)
        return WatchedFile(settings.keys_file, "TIDEGATE_JWT_KEYS_FILE", parse, monotonic), _nothing, _nothing
    if settings.secret_file is not None:
        file = WatchedFile(settings.secret_file, "TIDEGATE_JWT_SECRET_FILE", parse_secret, monotonic)
        return file, _nothing, _nothing
    raise ValueError("settings without a source of keys are refused before")


def _nothing() -> None:
    pass
