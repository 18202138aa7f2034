#!/usr/bin/env python3
"""Puts the candidate and its server into one image, work/image.tar, and writes its Dockerfile to work/context.

Nothing is published yet: what `publish.py` pushes is this archive, which was checked in between.
"""

import json
import shutil
import sys

from settings import WORK, Settings
from stage import call, keep, kept, options, run

REGISTRIES = {"github": "ghcr.io", "dockerhub": "docker.io"}
"""What REGISTRY may say; anything else is a host itself."""


def package(settings: Settings) -> str:
    """The stage."""
    context, candidate = WORK / "context", kept("candidate", "fetch")
    shutil.rmtree(context, ignore_errors=True)
    place = REGISTRIES.get(settings.get("REGISTRY", "github"), settings.get("REGISTRY"))
    name = settings.needed("IMAGE", "shop/digits").lower()
    version = settings.get("VERSION") or candidate.get("version") or candidate["sha256"][:12]
    image = f"{place}/{name}:{version}"
    command = ["tidegate", "package", str(WORK / "candidate"), "-t", image, "--output", str(WORK / "image.tar")]
    command += ["--context", str(context), "--output-format", "json"]
    command += options("--base", settings.get("BASE"))
    command += options("--name", settings.get("MODEL_NAME"))
    command += options("--label", _label("org.opencontainers.image.revision", settings.get("GITHUB_SHA")))
    command += options("--label", _label("dev.tidegate.model.uri", candidate["uri"]))
    told = json.loads(call(*command))
    folder = context / told["model"].removeprefix("image:///")
    keep("image", {**told, "place": image.rpartition(":")[0], "folder": str(folder)})
    return f"{image} is {told['digest']}"


def _label(name: str, value: str) -> str:
    return f"{name}={value}" if value else ""


if __name__ == "__main__":
    sys.exit(run("package", package))
