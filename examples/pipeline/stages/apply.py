#!/usr/bin/env python3
"""Writes image and digest into MODELDEPLOYMENT, as work/modeldeployment.yaml, and has kubectl apply it.

What the file says of the strategy, the analysis and all else stays as it is. With spec.model.signedBy the model alone comes from
the image, once its signature has been verified, and a server that the file or the chart names serves it: code from the image
would verify itself.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

from credentials import at_cluster
from settings import WORK, Refused, Settings
from stage import call, keep, kept, options, run

RELEASED = WORK / "modeldeployment.yaml"
MANAGER = "release-pipeline"


def apply(settings: Settings) -> str:
    """The stage."""
    image = kept("image", "package")
    if "pushed" not in image:
        raise Refused(f"{image['image']} isn't published; run stages/publish.py before")
    document = released(read(settings.file("MODELDEPLOYMENT", "modeldeployment.yaml")), image)
    RELEASED.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    call("tidegate", "lint", str(RELEASED))
    where = options("--context", settings.get("KUBE_CONTEXT"))
    with at_cluster(settings):
        said = call("kubectl", *where, "apply", "--server-side", f"--field-manager={MANAGER}", "-f", str(RELEASED))
    metadata = document["metadata"]
    keep("applied", {"name": metadata["name"], "namespace": metadata.get("namespace", "")})
    return f"{said.strip()}: {image['pushed']}"


def read(file: Path) -> dict[str, Any]:
    """The ModelDeployment of a file. Raises Refused where it has none."""
    try:
        (document,) = (each for each in yaml.safe_load_all(file.read_text(encoding="utf-8")) if each)
    except (ValueError, yaml.YAMLError) as error:
        raise Refused(f"MODELDEPLOYMENT: {file} has to be YAML with one ModelDeployment: {error}") from error
    if not isinstance(document, dict) or document.get("kind") != "ModelDeployment":
        raise Refused(f"MODELDEPLOYMENT: {file} has no ModelDeployment; see docs/modeldeployment.md")
    spec = document.get("spec")
    if not isinstance(spec, dict) or not isinstance(spec.get("model") or {}, dict):
        raise Refused(f"MODELDEPLOYMENT: {file}: spec and spec.model have to be objects; see docs/modeldeployment.md")
    return document


def signers(document: dict[str, Any]) -> dict[str, Any]:
    """Whose signature a ModelDeployment wants; empty where it wants none."""
    found: dict[str, Any] = (document["spec"].get("model") or {}).get("signedBy") or {}
    return found


def released(document: dict[str, Any], image: dict[str, Any]) -> dict[str, Any]:
    """A ModelDeployment with this image."""
    spec = document["spec"]
    model = {**(spec.get("model") or {}), "uri": image["model"], "sha256": kept("candidate", "fetch")["sha256"]}
    if signers(document):
        uri = f"oci://{image['pushed']}{image['model'].removeprefix('image://')}"
        return {**document, "spec": {**spec, "model": {**model, "uri": uri}}}
    server = {**(spec.get("server") or {}), "image": image["pushed"]}
    return {**document, "spec": {**spec, "model": model, "server": server}}


if __name__ == "__main__":
    sys.exit(run("apply", apply))
