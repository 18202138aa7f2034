"""A revision's copies of the ConfigMaps and Secrets that its servers use, and digests of what is in them. Pure."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from tidegate.model.config import ConfigKind, Held, Keys
from tidegate.resources.names import COPY_OF, config_copy_name
from tidegate.resources.revision import metadata_of

Manifest = dict[str, Any]
PARTS = ("data", "binaryData")
"""Where a ConfigMap has its content; a Secret has all of it in the first."""
DIGITS = 32


def held(manifest: Mapping[str, Any], keys: Keys, secret_key: bytes | None) -> Held:
    """What an object has of the keys that are used.

    A Secret's digest takes a key: without it, whoever reads the digest could try what might be in there.
    """
    content = _content(manifest, keys)
    text = json.dumps(content, sort_keys=True).encode()
    digest = hashlib.sha256(text) if secret_key is None else hmac.new(secret_key, text, hashlib.sha256)
    there = frozenset(key for part in content.values() for key in part)
    size = sum(len(value) for part in content.values() for value in part.values())
    return Held(digest.hexdigest()[:DIGITS], there, size)


def copy_manifest(
    namespace: str,
    name: str,
    uid: str,
    revision: str,
    number: int,
    kind: ConfigKind,
    source: Mapping[str, Any],
    keys: Keys,
) -> Manifest:
    """What of an object is used, as it is now, for the pods of one revision for good."""
    metadata = metadata_of(namespace, name, uid, revision)
    return {
        "apiVersion": "v1",
        "kind": kind.value,
        "metadata": {
            **metadata,
            "name": config_copy_name(revision, number),
            "annotations": {COPY_OF: source["metadata"]["name"]},
        },
        "immutable": True,
        **_content(source, keys),
    }


def _content(manifest: Mapping[str, Any], keys: Keys) -> dict[str, dict[str, str]]:
    found = {part: manifest.get(part) or {} for part in PARTS}
    used = {part: {key: value for key, value in of.items() if not keys or key in keys} for part, of in found.items()}
    return {part: of for part, of in used.items() if of}
