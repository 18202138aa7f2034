"""What the layers of an artifact or an image are: files, archives of files, or nothing that a server reads. Pure.

Three kinds of manifests have models: artifacts whose layers have a title each, as `oras push` makes them; artifacts to
the CNCF's ModelPack specification, whose layers' types say what is in them; and ordinary images.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.report import UNSUPPORTED_URI
from tidegate_server.fetch.sources.listing import archive_kind
from tidegate_server.fetch.sources.oci_reference import DIGEST

IMAGE_FOLDER = "models"
"""Where an image has its model by convention: KServe's modelcars, and what `tidegate package` makes."""
_IMAGE_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
_MODEL_PACK = re.compile(
    r"application/vnd\.cncf\.model\.(?P<part>weight|weight\.config|doc|code|dataset)\.v1\.(?P<form>raw|tar(\+gzip|\+zstd)?)"
)
_TITLES = ("org.opencontainers.image.title", "org.cncf.model.filepath")
_UNPACK = "io.deis.oras.content.unpack"


@dataclass(frozen=True)
class Layer:
    """`name`: of the file that it is; the digest of an archive, whose files have names of their own.

    `archive`: what it is unpacked as, None for a file as it is. `aside`: whether it is neither model nor beside it.
    """

    name: str
    digest: str
    size: int
    archive: str | None = None
    aside: bool = False


def read_layer(descriptor: Any) -> Layer | None:
    """None for a layer that is neither a file with a name nor an archive. Raises FetchFailed."""
    if not is_descriptor(descriptor):
        raise FetchFailed(UNSUPPORTED_URI, "the manifest has a layer without a sha256 digest and a size")
    notes, kind = descriptor.get("annotations") or {}, str(descriptor.get("mediaType", ""))
    if found := _MODEL_PACK.fullmatch(kind):
        return _model_pack_layer(descriptor, found, _first(notes, reversed(_TITLES)))
    title = _first(notes, _TITLES)
    unpacked = str(notes.get(_UNPACK, "")).lower() == "true" or (".tar" in kind and not title)
    archive = "tar" if unpacked else archive_kind(title)
    if not archive and not title:
        return None
    return Layer(title or descriptor["digest"], descriptor["digest"], descriptor["size"], archive)


def is_image(manifest: Mapping[str, Any]) -> bool:
    """Whether it is an image for containers, rather than an artifact."""
    config = manifest.get("config")
    return isinstance(config, dict) and config.get("mediaType") in _IMAGE_CONFIGS and not manifest.get("artifactType")


def is_descriptor(found: Any) -> bool:
    """Whether it names content by digest and size, and what else it has can be read."""
    return (
        isinstance(found, dict)
        and isinstance(found.get("digest"), str)
        and DIGEST.fullmatch(found["digest"]) is not None
        and (found.get("annotations") is None or isinstance(found["annotations"], dict))
        and (found.get("platform") is None or isinstance(found["platform"], dict))
        and isinstance(found.get("size"), int)
    )


def descriptors(listed: Any) -> list[dict[str, Any]]:
    """Those of a list that are some; none where it is no list."""
    return [each for each in listed if is_descriptor(each)] if isinstance(listed, list) else []


def _model_pack_layer(descriptor: Mapping[str, Any], kind: re.Match[str], title: str) -> Layer | None:
    """The type alone says whether it is an archive: one has the annotation too, for the file that is in it."""
    digest, size, aside = descriptor["digest"], descriptor["size"], not kind["part"].startswith("weight")
    if kind["form"] != "raw":
        return Layer(digest, digest, size, "tar", aside)
    if title:
        return Layer(title, digest, size, None, aside)
    if aside:
        return None
    sentence = f"the ModelPack artifact has a raw {kind['part']} layer without a name; annotate it with {_TITLES[1]}"
    raise FetchFailed(UNSUPPORTED_URI, sentence)


def _first(notes: Mapping[str, Any], keys: Iterable[str]) -> str:
    return next((str(notes[key]) for key in keys if notes.get(key)), "")
