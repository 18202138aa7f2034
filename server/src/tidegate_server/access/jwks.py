"""The keys that tokens are checked with: from a JWKS document, a PEM file or a secret's file. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tidegate_server.access.settings import SYMMETRIC
from tidegate_server.errors import BadSetting

MAX_KEYS = 100
MIN_SECRET_BYTES = 32
MIN_RSA_BITS = 2048


@dataclass(frozen=True)
class VerificationKey:
    """Checks signatures. `key` is one of cryptography's public keys, or the bytes of a secret."""

    key_id: str | None
    algorithm: str
    key: Any


def parse_keys_file(raw: bytes, algorithms: Sequence[str]) -> tuple[VerificationKey, ...]:
    """A JWKS document or a PEM public key. Raises BadSetting without a word of the content."""
    if raw.lstrip().startswith(b"-----BEGIN"):
        return (_from_pem(raw, algorithms),)
    return parse_jwks(raw, algorithms)


def parse_jwks(raw: bytes, algorithms: Sequence[str]) -> tuple[VerificationKey, ...]:
    """The document's keys that can sign with one of the algorithms; others are left out, as RFC 7517 wants it."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        raise BadSetting(" is neither a JWKS document nor a PEM public key") from None
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise BadSetting(" has no list 'keys', so it's no JWKS document")
    if len(listed) > MAX_KEYS:
        raise BadSetting(f" holds {len(listed)} keys; {MAX_KEYS} are the most")
    keys = tuple(key for each in listed if (key := _from_jwk(each)) is not None and key.algorithm in algorithms)
    if not keys:
        raise BadSetting(f" holds no public key for {', '.join(algorithms)}")
    return keys


def parse_secret(raw: bytes) -> tuple[VerificationKey, ...]:
    """The secret of HS256; a line's end after it isn't part of it."""
    secret = raw.rstrip(b"\r\n")
    if len(secret) < MIN_SECRET_BYTES:
        raise BadSetting(f" holds a secret of {len(secret)} bytes; {MIN_SECRET_BYTES} random ones are the least")
    return (VerificationKey(None, SYMMETRIC, secret),)


def _from_jwk(entry: Any) -> VerificationKey | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    try:
        key = jwt.PyJWK.from_dict(entry)
    except Exception:  # noqa: BLE001 - a key that can't be understood can't be trusted, whatever is wrong with it
        return None
    if algorithm_of(key.key) != key.algorithm_name:
        return None
    key_id = entry.get("kid")
    return VerificationKey(key_id if isinstance(key_id, str) else None, key.algorithm_name, key.key)


def _from_pem(raw: bytes, algorithms: Sequence[str]) -> VerificationKey:
    if b"PRIVATE KEY" in raw:
        raise BadSetting(" holds a private key; the server needs the public one only")
    try:
        key = load_pem_public_key(raw)
    except (ValueError, UnsupportedAlgorithm):
        raise BadSetting(" isn't a PEM public key") from None
    algorithm = algorithm_of(key)
    if algorithm is None or algorithm not in algorithms:
        raise BadSetting(f" holds no public key for {', '.join(algorithms)}")
    return VerificationKey(None, algorithm, key)


def algorithm_of(key: Any) -> str | None:
    """The one algorithm that a public key may be used with; None for private, weak and unknown ones."""
    if isinstance(key, RSAPublicKey) and key.key_size >= MIN_RSA_BITS:
        return "RS256"
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return "ES256"
    if isinstance(key, Ed25519PublicKey):
        return "EdDSA"
    return None
