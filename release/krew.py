"""The manifest by which Krew installs `kubectl tidegate`. Pure.

Source: https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest, v1alpha2.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from release.errors import ReleaseError
from release.plugin import NAME

ARCHIVE = re.compile(rf"{NAME}-(?P<version>\d+\.\d+\.\d+)-(?P<os>[a-z]+)-(?P<arch>[a-z0-9]+)\.tar\.gz")
SHORT = "Release ONNX models progressively"
DESCRIPTION = """\
Tidegate releases ONNX models progressively, and takes a bad one back by itself.
This shows how a rollout stands and why, live; lets you promote, hold and abort;
and checks, plans, replays and simulates releases.
"""
CAVEATS = """\
Tidegate's operator has to be in the cluster for most commands. `lint`, `plan --offline` and `simulate`
need none. `rehearse`, `package` and `verify` come with the Python package.
"""


@dataclass(frozen=True)
class Archive:
    """One that is published: its file name, and the SHA-256 of it in hexadecimal digits."""

    name: str
    sha256: str


def manifest(version: str, repository: str, archives: Sequence[Archive]) -> str:
    """The YAML. `repository` is OWNER/NAME on GitHub. Raises ReleaseError for an archive of another version."""
    home = f"https://github.com/{repository}"
    return yaml.safe_dump(
        {
            "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
            "kind": "Plugin",
            "metadata": {"name": "tidegate"},
            "spec": {
                "version": f"v{version}",
                "homepage": home,
                "shortDescription": SHORT,
                "description": DESCRIPTION,
                "caveats": CAVEATS,
                "platforms": [_platform(each, version, f"{home}/releases/download/v{version}") for each in archives],
            },
        },
        sort_keys=False,
    )


def _platform(archive: Archive, version: str, folder: str) -> Mapping[str, object]:
    found = ARCHIVE.fullmatch(archive.name)
    if found is None or found["version"] != version:
        raise ReleaseError(f"{archive.name} is no archive of {version}: {NAME}-{version}-OS-ARCHITECTURE.tar.gz")
    return {
        "selector": {"matchLabels": {"os": found["os"], "arch": found["arch"]}},
        "uri": f"{folder}/{archive.name}",
        "sha256": archive.sha256,
        "bin": NAME,
    }


def version_in(text: str) -> str:
    """Without its v."""
    return str(yaml.safe_load(text)["spec"]["version"]).removeprefix("v")
