"""Images in a registry, by oras: fetched into a layout, and pushed from one."""

import http.client
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tidegate.errors import TidegateError, innermost
from tidegate.oci.hosts import DOCKER_HUB_HOST, DOCKER_HUB_LOGIN, is_loopback
from tidegate.oci.image import (
    ACCEPT,
    INDEXES,
    MANIFEST,
    MOST_MANIFEST,
    Image,
    NotAnImage,
    chosen,
    digest_of,
    parsed,
)
from tidegate.oci.layout import Layout

REACHED_WITHIN = 10.0
"""Seconds."""


class Repository:
    """One of a registry. `reference` is REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@sha256:…"""

    def __init__(self, reference: str) -> None:
        """Raises TidegateError where oras isn't installed, or for what is no reference."""
        try:
            from oras.container import Container
            from oras.provider import Registry
        except ImportError as error:
            raise TidegateError(
                "oras isn't installed here; install it with: pip install 'tidegate[package]'"
            ) from error
        self.reference = reference
        self._reached = False
        try:
            self._container = Container(reference, registry="docker.io")
        except ValueError as error:
            raise NotAnImage(f"{reference} is no reference to an image: {error}") from error
        names = [self._container.registry]
        if names == ["docker.io"]:
            self._container.namespace = self._container.namespace or "library"
            names = [DOCKER_HUB_HOST, DOCKER_HUB_LOGIN]
        self._registry = Registry(names[0], insecure=is_loopback(names[0]))
        configs = [path for path in (_docker_config(os.environ),) if path]
        for name in reversed(names):  # the host that is asked is the last one
            self._container.registry = name
            self._registry.auth.load_configs(self._container, configs)

    def image(self, architecture: str) -> Image:
        """Of that architecture. Raises NotAnImage, or TidegateError where the registry doesn't answer."""
        self._reach()
        content = self._manifest(self._container.digest or self._container.tag)
        digest = digest_of(content)
        if self._container.digest and digest != self._container.digest:
            raise NotAnImage(f"{self.reference}: the registry's manifest has the digest {digest}")
        manifest = parsed(content, digest, self.reference)
        if manifest.get("mediaType") in INDEXES or "manifests" in manifest:
            digest = chosen(manifest, architecture, self.reference)["digest"]
            manifest = parsed(self._manifest(digest), digest, self.reference)
        wanted = manifest["config"]["digest"]
        with self._answered("its configuration"):
            response = self._registry.get_blob(self._container, wanted)
            config = parsed(response.content, wanted, self.reference)
        return Image(digest, manifest, config)

    def fetch(self, image: Image, layout: Layout) -> None:
        """Brings all that an image consists of into a layout. Raises TidegateError."""
        for digest in image.blobs:
            with self._answered(digest):
                self._registry.download_blob(self._container, digest, str(layout.blob(digest)))
        if wrong := layout.wrong_blobs(image):
            raise NotAnImage(f"{self.reference}: what came as {wrong[0]} has another digest; try again")

    def missing_blobs(self, image: Image) -> list[str]:
        """The digests of those that the registry doesn't have."""
        with self._answered("its layers"):
            return [
                digest for digest in image.blobs if not self._registry.blob_exists({"digest": digest}, self._container)
            ]

    def push(self, layout: Layout, manifest: bytes, image: Image) -> None:
        """Under the reference's tag, blobs first. Raises TidegateError."""
        self._reach()
        for descriptor in (image.manifest["config"], *image.manifest["layers"]):
            with self._answered(descriptor["digest"]):
                blob: Path = layout.blob(descriptor["digest"])
                self._accepted(self._registry.upload_blob(str(blob), self._container, dict(descriptor)))
        with self._answered("the manifest"):
            self._accepted(self._registry.do_request(self._url(self._container.tag), "PUT", manifest, _kind(MANIFEST)))

    def _reach(self) -> None:
        """Whether anybody answers there. oras would try again for two minutes, and say nothing."""
        import requests

        if self._reached:
            return
        host = self._container.registry
        try:
            requests.get(f"{self._registry.prefix}://{host}/v2/", timeout=REACHED_WITHIN, stream=True).close()
        except requests.RequestException as error:
            what = f"the registry {host} isn't in reach: {innermost(error)}"
            raise TidegateError(f"{self.reference}: {what}; is the name right, and is there a network?") from error
        self._reached = True

    def _manifest(self, version: str) -> bytes:
        with self._answered("the manifest"):
            response = self._registry.do_request(self._url(version), "GET", headers={"Accept": ACCEPT})
            self._accepted(response)
            content: bytes = response.content
        if len(content) > MOST_MANIFEST:
            raise NotAnImage(f"{self.reference}: its manifest has more than {MOST_MANIFEST} bytes")
        return content

    def _url(self, version: str) -> str:
        return f"{self._registry.prefix}://{self._container.manifest_url(version)}"

    def _accepted(self, response: Any) -> None:
        if response.status_code >= http.client.BAD_REQUEST:
            text = " ".join(str(response.text).split())[:160]
            raise TidegateError(f"{self.reference}: the registry answers {response.status_code}: {text}")

    @contextmanager
    def _answered(self, what: str) -> Iterator[None]:
        import requests
        from oras.auth import AuthenticationException

        try:
            yield
        except (requests.RequestException, ValueError, AuthenticationException, OSError) as error:
            why = innermost(error) if isinstance(error, requests.RequestException) else error
            raise TidegateError(f"{self.reference}: {what} can't be had from the registry: {why}") from error


def _kind(media_type: str) -> dict[str, str]:
    return {"Content-Type": media_type}


def _docker_config(environ: Mapping[str, str]) -> str | None:
    """The one of DOCKER_CONFIG, which oras doesn't look for; it finds that of the home by itself."""
    place = Path(environ.get("DOCKER_CONFIG", "")) / "config.json"
    return str(place) if environ.get("DOCKER_CONFIG") and place.is_file() else None
