"""oci://REGISTRY/REPOSITORY:TAG[/path] — an artifact or an image in a container registry.

A client of our own, since pulling is four kinds of GET, and since what matters here is what happens to the bytes: a tag
is resolved to a digest once, every manifest and blob has to have its digest, blobs are resumed, and layers are unpacked
under the rules for archives from anywhere.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.limits import MAX_FILES
from tidegate_server.fetch.report import UNSAFE_CONTENT, UNSUPPORTED_URI, WRONG_DIGEST
from tidegate_server.fetch.sources.http_client import BadStatus, GetRequest, get, open_at, reading
from tidegate_server.fetch.sources.listing import Listing, SignedDigest, SourceFile, Stream
from tidegate_server.fetch.sources.oci_layers import IMAGE_FOLDER, descriptors, is_image, read_layer
from tidegate_server.fetch.sources.oci_login import Account, authorize, find_account
from tidegate_server.fetch.sources.oci_reference import DIGEST, Reference, is_plain, parse, platform_matches
from tidegate_server.fetch.sources.oci_signatures import find_signatures

_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MAX_MANIFEST = 4 * 2**20
Response = TypeVar("Response")


def find(uri: str, environ: Mapping[str, str]) -> Listing:
    """The layers of the artifact. Raises FetchFailed."""
    reference = parse(uri)
    registry = Registry(reference, environ)
    manifest, digest = registry.manifest(reference.version)
    if _is_index(manifest):
        manifest, _ = registry.manifest(_for_this_machine(manifest))
    layers = manifest.get("layers")
    if not isinstance(layers, list) or len(layers) > MAX_FILES:
        raise FetchFailed(UNSUPPORTED_URI, "what the registry has under that name is no artifact with layers")
    files = tuple(file for layer in layers if (file := _file(layer, registry)) is not None)
    usual = IMAGE_FOLDER if is_image(manifest) and not reference.inside else ""
    signed = SignedDigest(digest, partial(find_signatures, registry, digest))
    return Listing(files, resolved=reference.at(digest), inside=reference.inside, usual=usual, signed=signed)


@dataclass
class Registry:
    """A repository in a registry, and the authorization that it accepted last."""

    reference: Reference
    environ: Mapping[str, str]
    authorization: str = field(default="", repr=False)
    account: Account | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Reads the account. Raises FetchFailed."""
        insecure = self.environ.get("TIDEGATE_REGISTRY_INSECURE", "")
        self.scheme = "http" if is_plain(self.reference.host, insecure) else "https"
        self.account = find_account(self.reference, self.environ)

    def manifest(self, version: str) -> tuple[dict[str, Any], str]:
        """A manifest or an index, and its digest, which it has for sure. Raises FetchFailed."""
        accept = {"Accept": ", ".join((*_MANIFESTS, *_INDEXES))}
        body = self.read(f"manifests/{version}", accept, _MAX_MANIFEST)
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if DIGEST.fullmatch(version) and digest != version:
            raise FetchFailed(WRONG_DIGEST, f"the registry's manifest has the digest {digest}, not {version}")
        try:
            manifest = json.loads(body)
        except (ValueError, RecursionError):
            manifest = None
        if not isinstance(manifest, dict):
            raise FetchFailed(UNSUPPORTED_URI, "what the registry has under that name is no manifest")
        return manifest, digest

    def read(self, path: str, headers: Mapping[str, str], limit: int) -> bytes:
        """All of something small. Raises FetchFailed, also where it has more bytes than `limit`."""
        with self._authorized(get, path, headers) as response, reading():
            body = response.read(limit + 1)
        if len(body) > limit:
            raise FetchFailed(UNSAFE_CONTENT, f"the registry's {path.partition('/')[0]} have more than {limit} bytes")
        return body

    @contextmanager
    def blob(self, digest: str, offset: int, _before: str | None, end: int | None = None) -> Iterator[Stream]:
        """Named by its digest, it never changes: no condition is needed to begin in the middle."""

        def opened(request: GetRequest) -> AbstractContextManager[Stream]:
            return open_at(request, offset, None, end)

        with self._authorized(opened, f"blobs/{digest}", {}) as stream:
            yield replace(stream, version=digest)

    @contextmanager
    def _authorized(
        self, opened: Callable[[GetRequest], AbstractContextManager[Response]], path: str, headers: Mapping[str, str]
    ) -> Iterator[Response]:
        """Logs in where the registry asks for it, and again where its token has run out meanwhile."""
        with ExitStack() as stack:
            try:
                response = stack.enter_context(opened(self._request(path, headers)))
            except BadStatus as error:
                challenge = error.headers.get("WWW-Authenticate", "")
                if error.status != 401 or not challenge:
                    raise
                self.authorization = authorize(challenge, self.account, self.reference, self.scheme)
                response = stack.enter_context(opened(self._request(path, headers)))
            yield response

    def _request(self, path: str, headers: Mapping[str, str]) -> GetRequest:
        address = f"{self.scheme}://{self.reference.host}/v2/{self.reference.repository}/{path}"
        private = {"Authorization": self.authorization} if self.authorization else {}
        return GetRequest(address, headers, private)


def _is_index(manifest: Mapping[str, Any]) -> bool:
    return manifest.get("mediaType") in _INDEXES or ("manifests" in manifest and "layers" not in manifest)


def _for_this_machine(index: Mapping[str, Any]) -> str:
    """The digest of the only manifest, or of the one for this machine's platform. Raises FetchFailed."""
    manifests = descriptors(index.get("manifests"))
    # Attestations lie beside the images that they are about.
    images = [each for each in manifests if (each.get("platform") or {}).get("os") != "unknown"]
    fitting = [each for each in images if platform_matches(each.get("platform") or {}, os.uname().machine)]
    chosen = fitting or (images if len(images) == 1 else [])
    if not chosen:
        raise FetchFailed(UNSUPPORTED_URI, f"the registry has nothing under that name for {os.uname().machine}")
    return str(chosen[0]["digest"])


def _file(descriptor: Any, registry: Registry) -> SourceFile | None:
    """The file that a layer is, or the archive of files; None for a layer that is neither."""
    layer = read_layer(descriptor)
    if layer is None:
        return None
    sha256 = layer.digest.removeprefix("sha256:")
    opened = partial(registry.blob, layer.digest)
    return SourceFile(layer.name, opened, layer.size, layer.digest, sha256, layer.archive, layer.aside)
