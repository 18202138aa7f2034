"""The chart as an archive, and in a registry of OCI artifacts."""

import re
from pathlib import Path

import yaml

from release.errors import ReleaseError
from release.programs import run, said

CHART = "charts/tidegate"
_DIGEST = re.compile(r"Digest: (sha256:[0-9a-f]{64})")


def package(root: Path, helm: Path, out: Path) -> Path:
    """The archive of the chart in the checkout at `root`. Raises ReleaseError."""
    run([helm, "package", CHART, "--destination", out], root)
    return next(out.glob("tidegate-*.tgz"))


def push(archive: Path, helm: Path, registry: str, *, plain_http: bool = False) -> str:
    """Pushes it below `oci://REGISTRY`, and gives its digest. Raises ReleaseError."""
    pushed = said([helm, "push", archive, f"oci://{registry}", *_plain(plain_http)], archive.parent)
    found = _DIGEST.search(pushed)
    if found is None:
        raise ReleaseError(f"helm push says no digest: {pushed.strip()}")
    return found[1]


def version_in(chart: str | Path, helm: Path, folder: Path, *options: str) -> str:
    """Of an archive, or of `oci://…`. Raises ReleaseError where its appVersion is another."""
    told = yaml.safe_load(run([helm, "show", "chart", chart, *options], folder))
    if told["version"] != told["appVersion"]:
        raise ReleaseError(f"{chart}: version {told['version']} and appVersion {told['appVersion']} differ")
    return str(told["version"])


def _plain(plain_http: bool) -> tuple[str, ...]:
    return ("--plain-http",) if plain_http else ()
