"""The wheels: `tidegate`, and the model server's as plain Python and, where asked for, compiled for this machine."""

import zipfile
from email.parser import Parser
from pathlib import Path

from release.programs import run, uv

MEMBERS = ("operator", "server")
COMPILE = {"HATCH_BUILD_HOOK_ENABLE_CUSTOM": "1"}
"""Has the server's build hook compile what every request goes through."""


def build_wheels(root: Path, python: Path, out: Path, *, compiled: bool) -> list[Path]:
    """Of the checkout at `root`, into `out`, with the build packages that `python` has. Raises ReleaseError."""
    quietly = ("--quiet", "--wheel", "--no-build-isolation")
    command: list[str | Path] = [uv(), "build", *quietly, "--python", python, "--out-dir", out]
    for member in MEMBERS:
        run([*command, member], root)
    if compiled:
        run([*command, "server"], root, COMPILE)
    return sorted(out.glob("*.whl"))


def version_in(wheel: Path) -> str:
    """As its metadata has it."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        return str(Parser().parsestr(archive.read(name).decode())["Version"])
