"""An issuer of tokens, with keys made for these tests."""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

ISSUER, AUDIENCE = "https://login.example", "inference"
MakeToken = Callable[..., str]


def private_key(algorithm: str, number: int = 0) -> Any:
    """The same one for the same arguments."""
    return _private_key(algorithm, number)


@cache
def _private_key(algorithm: str, _: int) -> Any:
    if algorithm == "RS256":
        return rsa.generate_private_key(65537, 2048)
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate()


def public_pem(algorithm: str) -> bytes:
    return bytes(private_key(algorithm).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def private_pem(algorithm: str) -> bytes:
    return bytes(private_key(algorithm).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def jwks(*keys: tuple[str, str, int]) -> bytes:
    """Of (key id, algorithm, number)."""
    entries = []
    for key_id, algorithm, number in keys:
        public = private_key(algorithm, number).public_key()
        entry = json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(public))
        entries.append({**entry, "kid": key_id, "use": "sig", "alg": algorithm})
    return json.dumps({"keys": entries}).encode()


@pytest.fixture
def make_token(epoch: float) -> MakeToken:
    def make(algorithm: str = "ES256", number: int = 0, kid: str | None = None, **claims: Any) -> str:
        body = {"iss": ISSUER, "aud": AUDIENCE, "sub": "robot", "exp": int(epoch) + 600, **claims}
        body = {name: value for name, value in body.items() if value is not None}
        headers = None if kid is None else {"kid": kid}
        return jwt.encode(body, private_key(algorithm, number), algorithm, headers=headers)

    return make


@pytest.fixture
def epoch() -> float:
    """Now: the library that reads tokens looks at the clock itself."""
    from time import time  # noqa: TID251 - the one clock that can't be replaced

    return time()
