"""The version: three numbers, in the workspace's pyproject.toml, which the chart repeats."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from release.errors import ReleaseError

THREE_NUMBERS = re.compile(r"\d+\.\d+\.\d+")
WORKSPACE, CHART = Path("pyproject.toml"), Path("charts/tidegate/Chart.yaml")
_IN_WORKSPACE = re.compile(r'^version = "[^"]*"', re.MULTILINE)
_IN_CHART = re.compile(r"^(version|appVersion): .*", re.MULTILINE)


def checked(version: str) -> str:
    """The same. Raises ReleaseError for what is no version."""
    if not THREE_NUMBERS.fullmatch(version):
        raise ReleaseError(f"V={version}: a version is three numbers, as in 1.2.3")
    return version


def version_of(root: Path) -> str:
    """Of the checkout at `root`."""
    return str(tomllib.loads((root / WORKSPACE).read_text())["project"]["version"])


def set_version(root: Path, version: str) -> None:
    """In both places, and in no other line. Raises ReleaseError for what is no version."""
    checked(version)
    _edit(root / WORKSPACE, _IN_WORKSPACE, f'version = "{version}"')
    _edit(root / CHART, _IN_CHART, rf"\g<1>: {version}")


def _edit(file: Path, line: re.Pattern[str], new: str) -> None:
    file.write_text(line.sub(new, file.read_text()))


def differing(version: str, said: Mapping[str, str]) -> list[str]:
    """A sentence for each that says another version; `said` is by what says it."""
    return [f"{what} says {other or 'no version'}, not {version}" for what, other in said.items() if other != version]
