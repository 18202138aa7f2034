"""Signatures as cosign keeps them in a registry, made here by their formats."""

import base64
import json

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.server.fetch.oci_registry import INDEX, MANIFEST, Registry, digest_of
from tidegate_server.fetch.cosign import SIGNATURE_ANNOTATION, SIMPLE_SIGNING, authenticated

SIGNED = "https://sigstore.dev/cosign/sign/v1"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PrivateKey = EllipticCurvePrivateKey | Ed25519PrivateKey


def signature_of(key: PrivateKey, content: bytes) -> str:
    made = key.sign(content) if isinstance(key, Ed25519PrivateKey) else key.sign(content, ECDSA(SHA256()))
    return base64.b64encode(made).decode()


def public(*keys: PrivateKey) -> str:
    return "".join(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode() for key in keys
    )


def a_bundle(key: PrivateKey, digest: str, predicate: str = SIGNED) -> bytes:
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": digest.removeprefix("sha256:")}}],
        "predicateType": predicate,
        "predicate": {},
    }
    kind, payload = "application/vnd.in-toto+json", json.dumps(statement).encode()
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": kind,
        "signatures": [{"sig": signature_of(key, authenticated(kind, payload))}],
    }
    return json.dumps({"mediaType": BUNDLE, "verificationMaterial": {}, "dsseEnvelope": envelope}).encode()


def a_simple_payload(digest: str, kind: str = "cosign container image signature") -> bytes:
    image = {"docker-manifest-digest": digest}
    return json.dumps({"critical": {"identity": {}, "image": image, "type": kind}, "optional": None}).encode()


def attach_bundles(registry: Registry, digest: str, *bundles: bytes) -> None:
    """As referrers, in the list under a tag that stands for the API that this registry doesn't have."""
    listed = []
    for content in bundles:
        layer = registry.push_blob("shop/digits", content, BUNDLE)
        config = registry.push_blob("shop/digits", b"{}", "application/vnd.oci.empty.v1+json")
        manifest = {"mediaType": MANIFEST, "artifactType": BUNDLE, "config": config, "layers": [layer]}
        pushed = registry.push("shop/digits", f"bundle-{digest_of(content)[7:20]}", manifest)
        listed.append({"mediaType": MANIFEST, "digest": pushed, "size": 1, "artifactType": BUNDLE})
    registry.push("shop/digits", digest.replace(":", "-"), {"mediaType": INDEX, "manifests": listed})


def attach_simple(registry: Registry, digest: str, key: PrivateKey, payload: bytes) -> None:
    notes = {SIGNATURE_ANNOTATION: signature_of(key, payload)}
    layer = registry.push_blob("shop/digits", payload, SIMPLE_SIGNING, **notes)
    registry.push_layers("shop/digits", f"{digest.replace(':', '-')}.sig", layer)
