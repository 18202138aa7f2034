#!/usr/bin/env python3
"""Lints the code in CODE by ruff, the Dockerfile of `package.py` by hadolint, MODELDEPLOYMENT by `tidegate lint`."""

import sys

from settings import WORK, Refused, Settings
from stage import last_line, outcome, run


def lint(settings: Settings) -> str:
    """The stage."""
    code, deployment = settings.get("CODE", "."), settings.file("MODELDEPLOYMENT", "modeldeployment.yaml")
    dockerfile = WORK / "context" / "Dockerfile"
    if not dockerfile.is_file():
        raise Refused(f"{dockerfile} isn't there; run stages/package.py before")
    for what, command in (
        (f"CODE: ruff finds in {code}", ("ruff", "check", "--quiet", "--output-format", "concise", code)),
        (f"hadolint finds in {dockerfile}", ("hadolint", "--no-color", str(dockerfile))),
        ("MODELDEPLOYMENT: a cluster would refuse", ("tidegate", "lint", str(deployment))),
    ):
        ended = outcome(*command)
        if ended.returncode:
            found = ended.stdout.strip().splitlines()
            raise Refused(f"{what}: {found[0] if found else last_line(ended)}; mend it, or see the log for all")
    return f"nothing in {code}, {dockerfile} and {deployment}"


if __name__ == "__main__":
    sys.exit(run("lint", lint))
