"""Whether one of the wanted keys has signed a digest. Pure.

The key alone decides: no transparency log, no certificate and no time is looked at.
"""

import re
from collections.abc import Iterable, Sequence

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.cosign import CosignSignature
from tidegate_server.fetch.report import UNVERIFIED

PublicKey = EllipticCurvePublicKey | Ed25519PublicKey

MAX_KEYS = 32
_KEYS = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END \1-----")


def read_keys(pem: str) -> tuple[PublicKey, ...]:
    """The public keys of a PEM text, one or more. Raises FetchFailed with what is wrong with them."""
    found = list(_KEYS.finditer(pem))
    if not found:
        raise _bad_keys("there is no public key in PEM form in it")
    if len(found) > MAX_KEYS:
        raise _bad_keys(f"it has {len(found)} keys, and {MAX_KEYS} at most are tried")
    return tuple(_key(each[1], each[0]) for each in found)


def _key(kind: str, pem: str) -> PublicKey:
    if "PRIVATE" in kind:
        raise _bad_keys("it has a private key, which is nobody's but the signer's")
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise _bad_keys(f"it has a {kind} that can't be read") from None
    if isinstance(key, Ed25519PublicKey) or (
        isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
    ):
        return key
    raise _bad_keys("it has a key that is neither ECDSA P-256 nor Ed25519")


def _bad_keys(wrong: str) -> FetchFailed:
    sentence = (
        f"the keys of model.signedBy are no use: {wrong}; put in what cosign generate-key-pair wrote as cosign.pub"
    )
    return FetchFailed(UNVERIFIED, sentence)


def require_signature(digest: str, signatures: Iterable[CosignSignature], keys: Sequence[PublicKey]) -> None:
    """Raises FetchFailed with the reason Unverified unless one of the keys has signed the digest."""
    seen, elsewhere = 0, set[str]()
    for each in signatures:
        seen += 1
        if not any(_is_by(key, each) for key in keys):
            continue
        if digest in each.digests:
            return
        elsewhere |= each.digests
    raise FetchFailed(UNVERIFIED, f"model.signedBy: {_problem(digest, seen, elsewhere)}")


def _problem(digest: str, seen: int, elsewhere: set[str]) -> str:
    if not seen:
        return f"{digest} isn't signed, its registry has no signature by cosign; sign it with cosign sign --key"
    if elsewhere:
        listed = ", ".join(sorted(elsewhere)[:3])
        return f"the signature beside {digest} is over {listed}, not over it; sign it with cosign sign --key"
    return (
        f"{digest} is signed by somebody else, none of its {seen} signatures is by a key that is wanted; "
        "have it signed by one of them, or add the signer's public key"
    )


def _is_by(key: PublicKey, found: CosignSignature) -> bool:
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(found.signature, found.signed)
        else:
            key.verify(found.signature, found.signed, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True
