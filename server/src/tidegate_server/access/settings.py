"""Which keys and tokens are accepted, from TIDEGATE_* variables. Half a configuration is refused, never ignored."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tidegate_server.environment import number, required
from tidegate_server.errors import BadSetting

ASYMMETRIC = ("RS256", "ES256", "EdDSA")
SYMMETRIC = "HS256"
DEFAULT_LEEWAY_SECONDS, MAX_LEEWAY_SECONDS = 30.0, 300.0

TLS_CERT, TLS_KEY = "TIDEGATE_TLS_CERT_FILE", "TIDEGATE_TLS_KEY_FILE"
_JWT = "TIDEGATE_JWT_"
_SOURCES = (f"{_JWT}KEYS_FILE", f"{_JWT}KEYS_URL", f"{_JWT}SECRET_FILE")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class JwtSettings:
    """Which tokens are accepted. Exactly one of the three sources of keys is set."""

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    keys_file: Path | None = None
    """A JWKS document or a PEM public key."""
    keys_url: str = ""
    """Where a JWKS document is fetched."""
    secret_file: Path | None = None
    """The shared secret of HS256."""
    scope: str = ""
    """What `scope` or `scp` of a token must hold; empty when any token will do."""
    leeway_seconds: float = DEFAULT_LEEWAY_SECONDS


@dataclass(frozen=True)
class AccessSettings:
    """Inference is open when both are None."""

    api_keys_file: Path | None = None
    jwt: JwtSettings | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "AccessSettings":
        """Raises BadSetting with a sentence that names the variable."""
        keys = environ.get("TIDEGATE_API_KEYS_FILE")
        return cls(Path(keys) if keys else None, _jwt(environ))


@dataclass(frozen=True)
class TlsSettings:
    """PEM files: a certificate with those that signed it behind it, and its key."""

    cert_file: Path
    key_file: Path

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "TlsSettings | None":
        """None where neither is set. Raises BadSetting for one without the other."""
        cert, key = environ.get(TLS_CERT), environ.get(TLS_KEY)
        if not cert and not key:
            return None
        if not cert or not key:
            given, missing = (TLS_CERT, TLS_KEY) if cert else (TLS_KEY, TLS_CERT)
            raise BadSetting(f"{given} is set and {missing} isn't; set both, or neither for plain HTTP")
        return cls(Path(cert), Path(key))


def _jwt(environ: Mapping[str, str]) -> JwtSettings | None:
    given = {name for name, text in environ.items() if name.startswith(_JWT) and text}
    if not given:
        return None
    sources = [name for name in _SOURCES if name in given]
    if len(sources) != 1:
        raise BadSetting(
            f"{', '.join(sorted(given))} asks for tokens, so exactly one of {', '.join(_SOURCES)} must be set"
        )
    keys_file, secret_file = environ.get(_SOURCES[0]), environ.get(_SOURCES[2])
    return JwtSettings(
        issuer=required(environ, f"{_JWT}ISSUER", "the iss that tokens must bear"),
        audience=required(environ, f"{_JWT}AUDIENCE", "the aud that tokens must be for"),
        algorithms=_algorithms(environ, secret=bool(secret_file)),
        keys_file=Path(keys_file) if keys_file else None,
        keys_url=_address(environ.get(_SOURCES[1], "")),
        secret_file=Path(secret_file) if secret_file else None,
        scope=environ.get(f"{_JWT}SCOPE", ""),
        leeway_seconds=number(environ, f"{_JWT}LEEWAY_SECONDS", DEFAULT_LEEWAY_SECONDS, most=MAX_LEEWAY_SECONDS),
    )


def _algorithms(environ: Mapping[str, str], *, secret: bool) -> tuple[str, ...]:
    variable = f"{_JWT}ALGORITHMS"
    allowed = (SYMMETRIC,) if secret else ASYMMETRIC
    wanted = tuple(name.strip() for name in (environ.get(variable) or ",".join(allowed)).split(","))
    # A public key must never serve as the secret of HS256, so the two kinds don't mix.
    if not set(wanted) <= set(allowed):
        kind = "a shared secret" if secret else "public keys"
        raise BadSetting(f"{variable} is {','.join(wanted)!r}; with {kind} it can hold {', '.join(allowed)} only")
    return wanted


def _address(text: str) -> str:
    if not text:
        return ""
    try:
        parts = urlsplit(text)
    except ValueError:
        raise BadSetting(f"{_SOURCES[1]} isn't an address; it must be https://HOST/PATH") from None
    if parts.username or parts.password:
        raise BadSetting(f"{_SOURCES[1]} holds a user or a password; the keys must be readable without")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise BadSetting(f"{_SOURCES[1]} must be https://HOST/PATH: keys from elsewhere can be forged on their way")
    return text
