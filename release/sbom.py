"""What each package brings along, from the lock, as CycloneDX: by uv, which knows the lock."""

import json
from pathlib import Path
from typing import Any

from release.programs import run, uv

PACKAGES = {"tidegate": ("--extra", "router", "--extra", "dashboard"), "tidegate-server": ("--all-extras",)}
"""With the extras that their images have."""


def write_sboms(root: Path, version: str, out: Path) -> list[Path]:
    """A file for each package, of the checkout at `root`. Raises ReleaseError."""
    return [_write(root, package, version, out / f"{package}-{version}.cdx.json") for package in PACKAGES]


def _write(root: Path, package: str, version: str, place: Path) -> Path:
    chosen = ("--frozen", "--no-dev", "--package", package, *PACKAGES[package])
    told: dict[str, Any] = json.loads(run([uv(), "export", "--quiet", *chosen, "--format", "cyclonedx1.5"], root))
    # A version that is read when the package is built stands in no lock.
    told["metadata"]["component"]["version"] = version
    place.write_text(json.dumps(told, indent=2) + "\n")
    return place


def version_in(sbom: Path) -> str:
    """Of the package that it is about."""
    return str(json.loads(sbom.read_text())["metadata"]["component"].get("version", ""))


def requirements(root: Path, package: str, *extras: str) -> str:
    """All packages that a package installs, one to a line, in the lock's versions. Raises ReleaseError.

    `extras` are options of uv; without any, those of the image.
    """
    chosen = ("--frozen", "--no-dev", "--package", package, *(extras or PACKAGES[package]))
    return run([uv(), "export", "--quiet", *chosen, "--no-emit-workspace", "--no-hashes"], root)
