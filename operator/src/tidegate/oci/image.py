"""Manifests and configurations of images, and how a layer is put on top of one. Pure.

Source: https://github.com/opencontainers/image-spec, version 1.1.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.errors import TidegateError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFESTS, INDEXES = (MANIFEST, DOCKER_MANIFEST), (INDEX, DOCKER_LIST)
ACCEPT = ", ".join((*MANIFESTS, *INDEXES))
"""What a registry is asked for by a tag or a digest."""
MOST_MANIFEST = 4 * 2**20
"""Bytes of a manifest."""
LAYERS = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": LAYER,
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
}
"""Docker's names of what OCI has too."""
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
"""What a kernel calls an architecture, and what images call it."""


class NotAnImage(TidegateError):
    """What was given is no image that can be used here; the message says why, and what to do."""


def digest_of(content: bytes) -> str:
    """`sha256:` and 64 hex digits."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def encoded(document: Mapping[str, Any]) -> bytes:
    """The same bytes for the same document."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Image:
    """One image of one platform. `digest` is its manifest's."""

    digest: str
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]

    @property
    def settings(self) -> Mapping[str, Any]:
        """User, Env, Entrypoint, Labels and the like."""
        found: Mapping[str, Any] = self.config.get("config") or {}
        return found

    @property
    def labels(self) -> Mapping[str, str]:
        """Of the image."""
        return self.settings.get("Labels") or {}

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that its processes begin with."""
        return dict(each.partition("=")[::2] for each in self.settings.get("Env") or ())

    @property
    def blobs(self) -> Sequence[str]:
        """The digests of all that it consists of, but for its manifest."""
        return [each["digest"] for each in (self.manifest["config"], *self.manifest["layers"])]


@dataclass(frozen=True)
class Layer:
    """`digest` and `size` are those of the packed layer, `diff_id` is the digest of its tar."""

    digest: str
    diff_id: str
    size: int


@dataclass(frozen=True)
class Settings:
    """What an image on top of another says otherwise."""

    user: str
    environment: Mapping[str, str]
    labels: Mapping[str, str]
    created: str
    """As RFC 3339 has it."""
    by: str
    """What is told of the layer's origin."""


def extended(base: Image, layer: Layer, settings: Settings) -> tuple[bytes, bytes]:
    """The manifest and the configuration of the base with a layer on top, as they are to be written."""
    changed = {
        **base.settings,
        "User": settings.user,
        "Env": [f"{name}={value}" for name, value in {**base.environment, **settings.environment}.items()],
        "Labels": {**base.labels, **settings.labels},
    }
    history = [*(base.config.get("history") or ()), {"created": settings.created, "created_by": settings.by}]
    rootfs = {"type": "layers", "diff_ids": [*base.config["rootfs"]["diff_ids"], layer.diff_id]}
    kept = {key: base.config[key] for key in ("architecture", "os", "variant") if key in base.config}
    config = encoded({**kept, "created": settings.created, "config": changed, "rootfs": rootfs, "history": history})
    below = [
        {**each, "mediaType": LAYERS.get(each["mediaType"], each["mediaType"])} for each in base.manifest["layers"]
    ]
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": [*below, {"mediaType": LAYER, "digest": layer.digest, "size": layer.size}],
    }
    return encoded(manifest), config


def chosen(index: Mapping[str, Any], architecture: str, source: str) -> Mapping[str, Any]:
    """The descriptor of the image for Linux on an architecture, or of the only one. Raises NotAnImage."""
    listed = [each for each in index.get("manifests") or () if (each.get("platform") or {}).get("os") != "unknown"]
    wanted = {"os": "linux", "architecture": architecture}
    fitting = [each for each in listed if wanted.items() <= (each.get("platform") or {}).items()]
    if not fitting and len(listed) == 1:
        fitting = listed
    if not fitting:
        raise NotAnImage(f"{source} has no image for linux/{architecture}; name another by --platform")
    descriptor: Mapping[str, Any] = fitting[0]
    return descriptor


def parsed(content: bytes, digest: str, source: str) -> Mapping[str, Any]:
    """A manifest, an index or a configuration that has that digest. Raises NotAnImage."""
    if digest_of(content) != digest:
        raise NotAnImage(f"{source}: what is there as {digest} has the digest {digest_of(content)}; fetch it again")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise NotAnImage(f"{source}: {digest} isn't JSON: {error}") from error
    if not isinstance(found, Mapping):
        raise NotAnImage(f"{source}: {digest} is no JSON object")
    return found
