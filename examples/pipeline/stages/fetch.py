#!/usr/bin/env python3
"""Brings the candidate and stable, as a registry has them, into work/candidate and work/stable.

MODEL_URI and STABLE_URI are models:/NAME/VERSION or models:/NAME@ALIAS of the MLflow at MLFLOW_TRACKING_URI, or
whatever else `tidegate-server fetch` takes. An alias is looked up once: what it means now is what is released, and is
written down in work/candidate.json. Only what belongs to a model package is kept of MLflow's folder.
"""

import json
import re
import shutil
import sys
from typing import Any

from settings import WORK, Refused, Settings
from stage import keep, last_line, outcome, run

ALIAS = re.compile(r"models:/(?P<name>[^/]+)@(?P<alias>[\w-]+)")
VERSION = re.compile(r"models:/(?P<name>[^/]+)/(?P<version>[0-9]+)")
NO_ALIAS = "the registry has no alias"
"""So begins what is said where nobody has set it, as before the first release."""


def fetch(settings: Settings) -> str:
    """The stage."""
    candidate = brought(settings.needed("MODEL_URI", "models:/digits@candidate"), "candidate")
    if "sha256" not in candidate:
        raise Refused(f"MODEL_URI: {candidate['message']}")
    uri = settings.get("STABLE_URI")
    stable = brought(uri, "stable") if uri else {"message": "STABLE_URI is empty"}
    if uri and "sha256" not in stable and not stable["message"].startswith(NO_ALIAS):
        raise Refused(f"STABLE_URI: {stable['message']}")
    keep("candidate", candidate)
    keep("stable", stable if "sha256" in stable else {})
    told = f"{candidate['uri']}, sha256 {candidate['sha256'][:12]}"
    if "sha256" in stable:
        return f"{told}; stable is {stable['uri']}"
    return f"{told}; there is no stable model to compare it with: {stable['message']}"


def brought(uri: str, role: str) -> dict[str, Any]:
    """What is in the package and where it came from; a `message` and no `sha256` where it couldn't be had."""
    target, report = WORK / role, WORK / f"{role}-report.json"
    shutil.rmtree(target, ignore_errors=True)
    report.unlink(missing_ok=True)
    command = ("tidegate-server", "fetch", "--uri", uri, "--model", str(target / "model.onnx"))
    ended = outcome(*command, variables={"TIDEGATE_TERMINATION_LOG": str(report)})
    found: dict[str, Any] = json.loads(report.read_text()) if report.is_file() else {"message": last_line(ended)}
    resolved = found.get("resolved") or uri
    version = VERSION.fullmatch(resolved)
    return {**found, "uri": resolved, **(version.groupdict() if version else {})}


if __name__ == "__main__":
    sys.exit(run("fetch", fetch))
