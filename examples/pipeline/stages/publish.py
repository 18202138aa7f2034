#!/usr/bin/env python3
"""Pushes work/image.tar, the very bytes that were checked, to the registry that REGISTRY names.

That is github, dockerhub, or a host. What the registry then has is held against every digest.
"""

import sys
import tempfile
from pathlib import Path

from tidegate.errors import TidegateError
from tidegate.oci.layout import Layout
from tidegate.oci.registry import Repository

from credentials import at_registry
from settings import WORK, Refused, Settings
from stage import call, keep, kept, run


def publish(settings: Settings) -> str:
    """The stage."""
    image = kept("image", "package")
    pushed = f"{image['place']}@{image['digest']}"
    with at_registry(settings, image["place"].partition("/")[0]):
        try:
            push(image["image"], image["digest"])
        except TidegateError as error:
            raise Refused(f"REGISTRY: {error}; look at REGISTRY, IMAGE and the login") from error
        call("tidegate", "verify", "--image", pushed, "--strict")
    keep("image", {**image, "pushed": pushed})
    return f"{image['image']} is published as {pushed}"


def push(name: str, digest: str) -> None:
    """The archive under a name. Raises TidegateError, and Refused where it isn't the image that was checked."""
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout.open(WORK / "image.tar", Path(folder))
        found = layout.image("any")  # it has one
        if found.digest != digest:
            raise Refused(f"work/image.tar is {found.digest}, and {digest} was checked; run all stages again")
        Repository(name).push(layout, layout.blob(digest).read_bytes(), found)


if __name__ == "__main__":
    sys.exit(run("publish", publish))
