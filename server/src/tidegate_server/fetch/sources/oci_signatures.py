"""Where a registry keeps cosign's signatures of a digest: as its referrers, and under a tag made of the digest.

A registry without the API for referrers has their list under a tag, as the distribution specification (1.1) says.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.cosign import BUNDLE, SIMPLE_SIGNING, CosignSignature, read_bundle, read_simple
from tidegate_server.fetch.report import WRONG_DIGEST
from tidegate_server.fetch.sources.http_client import BadStatus
from tidegate_server.fetch.sources.oci_layers import descriptors

MAX_SIGNATURES = 64
"""Looked at, of one manifest each or of one layer each: whoever may write to a registry could add any number."""
_MAX_BYTES = 2**20
_INDEX = "application/vnd.oci.image.index.v1+json"
_NO_REFERRERS = (400, 404, 405, 406, 501)
"""What registries answer that have no API for referrers."""


class Repository(Protocol):
    """A repository of a registry, as far as signatures need it."""

    def manifest(self, version: str) -> tuple[dict[str, Any], str]:
        """A manifest or an index, and its digest."""
        ...

    def read(self, path: str, accept: Mapping[str, str], limit: int) -> bytes:
        """All of something small. Raises FetchFailed, also where it has more bytes than `limit`."""
        ...


def find_signatures(registry: Repository, digest: str) -> Iterator[CosignSignature]:
    """All of a digest, whoever made them. Raises FetchFailed where the registry doesn't answer."""
    for descriptor in _referrers(registry, digest)[:MAX_SIGNATURES]:
        for layer in _layers(_manifest(registry, descriptor["digest"]), BUNDLE)[:1]:
            yield from read_bundle(_blob(registry, layer))
    under_tag = _manifest(registry, f"{digest.replace(':', '-')}.sig")
    for layer in _layers(under_tag, SIMPLE_SIGNING)[:MAX_SIGNATURES]:
        yield from read_simple(_blob(registry, layer), layer)


def _referrers(registry: Repository, digest: str) -> list[dict[str, Any]]:
    """Descriptors of bundles; a list that is in several pages is looked at as far as its first one goes."""
    wanted = urlencode({"artifactType": f"{BUNDLE}.v0.3+json"}, quote_via=quote)
    try:
        index = _object(registry.read(f"referrers/{digest}?{wanted}", {"Accept": _INDEX}, _MAX_BYTES))
    except BadStatus as error:
        if error.status not in _NO_REFERRERS:
            raise
        index = {}
    # A registry that has learnt the API since may have the list of before.
    return _bundles(index) or _bundles(_manifest(registry, digest.replace(":", "-")))


def _bundles(index: dict[str, Any]) -> list[dict[str, Any]]:
    listed = descriptors(index.get("manifests"))
    return [each for each in listed if str(each.get("artifactType") or BUNDLE).startswith(BUNDLE)]


def _manifest(registry: Repository, version: str) -> dict[str, Any]:
    """What is under a tag or a digest; empty where nothing is: one signature of several may be gone."""
    try:
        return registry.manifest(version)[0]
    except BadStatus as error:
        if error.status != 404:
            raise
        return {}


def _layers(manifest: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [each for each in descriptors(manifest.get("layers")) if str(each.get("mediaType", "")).startswith(kind)]


def _blob(registry: Repository, layer: dict[str, Any]) -> bytes:
    digest = layer["digest"]
    content = registry.read(f"blobs/{digest}", {}, _MAX_BYTES)
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
        raise FetchFailed(WRONG_DIGEST, f"the registry's blob {digest}, a signature, has another digest")
    return content


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
