"""The forms in which cosign keeps signatures in a registry, read without believing them. Pure.

There are two: Sigstore's bundle around a DSSE envelope with an in-toto statement (github.com/sigstore/protobuf-specs,
github.com/secure-systems-lab/dsse), and the older simple signing (SIGNATURE_SPEC.md of cosign's).
"""

import base64
import json
from dataclasses import dataclass
from typing import Any

BUNDLE = "application/vnd.dev.sigstore.bundle"
"""What an artifact with a bundle has its type begin with; the version follows."""
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature"
_IN_TOTO = "application/vnd.in-toto+json"
_SIGNED = "https://sigstore.dev/cosign/sign/v1"
"""The predicate of a signature. The same key may have attested other things, as that a scan has found something."""
_SIMPLE_TYPES = ("cosign container image signature", "https://sigstore.dev/cosign/sign/v1")
_NONSENSE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True)
class CosignSignature:
    """`signature` is over the bytes `signed`, which say that they are about `digests`, each `sha256:` and 64 hex."""

    signed: bytes
    signature: bytes
    digests: frozenset[str]


def read_bundle(content: bytes) -> tuple[CosignSignature, ...]:
    """The signature of a Sigstore bundle, which has one and no more; none where it is of another kind, or nonsense."""
    try:
        envelope = json.loads(content)["dsseEnvelope"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        statement = json.loads(payload)
        if envelope["payloadType"] != _IN_TOTO or statement["predicateType"] != _SIGNED:
            return ()
        about = frozenset(f"sha256:{subject['digest']['sha256']}" for subject in statement["subject"])
        (only,) = envelope["signatures"]
        signature = base64.b64decode(only["sig"], validate=True)
    except _NONSENSE:
        return ()
    return (CosignSignature(authenticated(_IN_TOTO, payload), signature, about),)


def authenticated(kind: str, payload: bytes) -> bytes:
    """What a DSSE signature is over: its pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def read_simple(payload: bytes, layer: Any) -> tuple[CosignSignature, ...]:
    """The signature that a layer's annotation has of its content; none where it is nonsense."""
    try:
        critical = json.loads(payload)["critical"]
        if critical["type"] not in _SIMPLE_TYPES:
            return ()
        about = frozenset({str(critical["image"]["docker-manifest-digest"])})
        signature = base64.b64decode(layer["annotations"][SIGNATURE_ANNOTATION], validate=True)
    except _NONSENSE:
        return ()
    return (CosignSignature(payload, signature, about),)
