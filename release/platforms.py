"""Whether an image can be built for a machine that isn't here: is there a wheel of every package that it installs?"""

from pathlib import Path

from release.programs import run, uv
from release.sbom import requirements

MANYLINUX = {"amd64": "x86_64-manylinux_2_36", "arm64": "aarch64-manylinux_2_36"}
"""As far as the images' Debian goes."""
PYTHON = "3.11"


def installable(root: Path, package: str, architecture: str, scratch: Path) -> int:
    """How many packages, each of which has a wheel there. Raises ReleaseError where one has none."""
    wanted = scratch / f"{package}-{architecture}.txt"
    wanted.write_text(requirements(root, package))
    resolved = ("--dry-run", "--no-deps", "--only-binary", ":all:", "--requirement", wanted)
    machine = ("--python-platform", MANYLINUX[architecture], "--python-version", PYTHON)
    run([uv(), "pip", "install", "--quiet", *resolved, *machine, "--target", scratch / "nowhere"], root)
    return sum("==" in line for line in wanted.read_text().splitlines())
