"""How a model gets into its pods: fetched by a container of theirs, or mounted from an image by the node. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tidegate.errors import InvalidSpec

IMAGE_FOLDER = "/models"
"""Where an image has its model unless its URI says otherwise, as KServe's modelcars have it."""
_MOUNTED = re.compile(r"oci://(?P<reference>[^/@\s]+/[^@:\s]+@sha256:[0-9a-f]{64})(?P<inside>/\S*)?")


class Delivery(StrEnum):
    """spec.model.delivery."""

    FETCH = "Fetch"
    IMAGE_VOLUME = "ImageVolume"

    @property
    def unless_default(self) -> str | None:
        """Its name; None for the default, which no record and no spec names."""
        return None if self is Delivery.FETCH else self.value


@dataclass(frozen=True)
class MountedImage:
    """`reference`: of the image, with its digest, as a container runtime takes it. `inside`: an absolute path in it."""

    reference: str
    inside: str

    @classmethod
    def parse(cls, uri: str) -> "MountedImage":
        """Raises ValueError for a URI that names no digest."""
        found = _MOUNTED.fullmatch(uri)
        if found is None:
            raise ValueError(f"{uri} isn't oci://REGISTRY/REPOSITORY@sha256:...")
        return cls(found["reference"], (found["inside"] or "").rstrip("/") or IMAGE_FOLDER)


def parse_delivery(model: Mapping[str, Any]) -> Delivery:
    """`spec.model.delivery`. Raises ValueError for one that isn't known, and InvalidSpec."""
    delivery, uri = Delivery(model.get("delivery", Delivery.FETCH)), str(model["uri"])
    if delivery is Delivery.FETCH:
        return delivery
    is_followed = model.get("follow") is not None and uri.startswith("oci://")
    if not (is_followed or _MOUNTED.fullmatch(uri)) or ".." in uri:
        raise InvalidSpec(
            "spec.model.delivery ImageVolume needs a spec.model.uri with a digest and without '..', as in "
            "oci://REGISTRY/REPOSITORY@sha256:..., or spec.model.follow beside an oci:// with a tag"
        )
    if "signedBy" in model:
        raise InvalidSpec(
            "spec.model.signedBy can't be set beside spec.model.delivery ImageVolume, as the node pulls the image "
            "before anybody looks; set delivery to Fetch, or have an admission policy verify the image"
        )
    return delivery
