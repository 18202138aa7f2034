"""JSON Web Tokens: signature, algorithm, issuer, audience and lifetime, each of them always checked.

The algorithm is the one that the key is for, never the one that a token claims alone; `none` doesn't exist here.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock
from typing import Any, Protocol

import jwt

from tidegate_server.access.jwks import VerificationKey
from tidegate_server.access.principal import Principal, printable_name
from tidegate_server.access.settings import JwtSettings
from tidegate_server.errors import NotAllowed

MAX_TOKEN_BYTES = 8192
MAX_CACHED_TOKENS = 10_000
MAX_CACHE_SECONDS = 3600.0

_SENTENCES: tuple[tuple[type[Exception], str], ...] = (
    (jwt.ExpiredSignatureError, "the token has expired; get a new one"),
    (jwt.ImmatureSignatureError, "the token isn't valid yet; check the clocks"),
    (jwt.InvalidAudienceError, "the token is for another audience"),
    (jwt.InvalidIssuerError, "the token is from another issuer"),
    (jwt.MissingRequiredClaimError, "the token lacks exp, aud or iss"),
    (jwt.InvalidSignatureError, "the token's signature doesn't fit"),
)
_UNREADABLE = "the token can't be read; send a JSON Web Token as its issuer gave it"


class KeySource(Protocol):
    """Any thread may ask it. `version` changes with the keys."""

    version: int

    def content(self) -> tuple[VerificationKey, ...]:
        """The keys as they are now; empty while there are none."""


@dataclass(frozen=True, slots=True)
class _CachedToken:
    principal: Principal
    until: float


class JwtVerifier:
    """Verifies tokens, each once: a second look within its lifetime costs a hash. Any thread may call."""

    def __init__(
        self,
        settings: JwtSettings,
        keys: KeySource,
        refresh_keys: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        """`clock` gives seconds of the epoch, as tokens do."""
        self._settings, self._keys, self._ask_for_keys, self._clock = settings, keys, refresh_keys, clock
        self._jwt = jwt.PyJWT()
        self._lock = Lock()
        self._cache: OrderedDict[bytes, _CachedToken] = OrderedDict()
        self._version = keys.version

    def check(self, token: str) -> Principal:
        """Raises NotAllowed: 401 for a token that isn't good, 403 for a good one without the scope."""
        if len(token) > MAX_TOKEN_BYTES:
            raise NotAllowed(f"the token is longer than {MAX_TOKEN_BYTES} bytes")
        # In this order: keys that change meanwhile are then at worst newer than their version.
        version, keys = self._keys.version, self._keys.content()
        digest = sha256(token.encode()).digest()
        known = self._cached(digest)
        if known is not None:
            return known
        claims = self._verify(token, keys)
        principal = Principal(printable_name(str(claims.get("sub", ""))), "token")
        self._check_scope(claims)
        self._cache_token(digest, principal, int(claims["exp"]), version)
        return principal

    def _verify(self, token: str, keys: tuple[VerificationKey, ...]) -> dict[str, Any]:
        try:
            key = self._key_for(jwt.get_unverified_header(token), keys)
            return self._jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=self._settings.leeway_seconds,
                options={"require": ["exp", "aud", "iss"]},
            )
        except NotAllowed:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a token makes the library raise, nobody is let in
            raise NotAllowed(_sentence(error)) from None

    def _key_for(self, header: dict[str, Any], keys: tuple[VerificationKey, ...]) -> VerificationKey:
        if not keys:
            raise NotAllowed("the keys that tokens are checked with aren't there yet; try again soon")
        algorithm, key_id = header.get("alg"), header.get("kid")
        fitting = [key for key in keys if key.algorithm == algorithm]
        if not fitting:
            raise NotAllowed(f"the token isn't signed with {' or '.join(self._settings.algorithms)}")
        if key_id is not None:
            # A PEM key or a secret has no id, and is the only one then.
            fitting = [key for key in fitting if key.key_id in (None, key_id)]
        if not fitting:
            self._ask_for_keys()
            raise NotAllowed("the token is signed with a key that isn't known here (yet)")
        if len(fitting) > 1:
            raise NotAllowed("the token doesn't say by a 'kid' which of several keys it is signed with")
        return fitting[0]

    def _check_scope(self, claims: dict[str, Any]) -> None:
        wanted = self._settings.scope
        if not wanted:
            return
        held = claims.get("scope") or claims.get("scp", "")
        scopes = held.split() if isinstance(held, str) else held
        if not isinstance(scopes, list) or wanted not in scopes:
            raise NotAllowed(f"the token lacks the scope {wanted}", 403)

    # --- cache

    def _cached(self, digest: bytes) -> Principal | None:
        now = self._clock()
        with self._lock:
            if self._version != self._keys.version:
                self._version = self._keys.version
                self._cache.clear()
            known = self._cache.get(digest)
            if known is None:
                return None
            if known.until <= now:
                del self._cache[digest]
                return None
            self._cache.move_to_end(digest)
            return known.principal

    def _cache_token(self, digest: bytes, principal: Principal, expires: int, version: int) -> None:
        until = min(expires, self._clock() + MAX_CACHE_SECONDS)
        with self._lock:
            if version != self._version:
                return  # a key that it was checked with may have been withdrawn
            self._cache[digest] = _CachedToken(principal, until)
            while len(self._cache) > MAX_CACHED_TOKENS:
                self._cache.popitem(last=False)


def _sentence(error: Exception) -> str:
    return next((sentence for kind, sentence in _SENTENCES if isinstance(error, kind)), _UNREADABLE)
