"""What comes from Debian: tools that have to be installed, and daemons that are only unpacked.

containerd, runc and the network plugins are taken out of their packages into the cache. Installing containerd would
start a service that has nothing to do with the demo.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.cluster.layout import cache_folder
from tidegate_demo.cluster.progress import step

NODE_COMMANDS = {"ip": "iproute2", "nft": "nftables", "openssl": "openssl", "setsid": "util-linux", "umount": "mount"}
IMAGE_COMMANDS = {"buildah": "buildah", "debootstrap": "debootstrap", "cc": "gcc"}
# A compiler without the C library's headers and its static archive cannot make the pause program.
COMPANIONS = {"gcc": ("libc6-dev",), "buildah": ("crun",)}
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def which(command: str) -> str | None:
    """Like shutil.which, and looks where a user's PATH often does not: the folders of system programs."""
    return shutil.which(command) or shutil.which(command, path=os.pathsep.join(SYSTEM_FOLDERS))


def missing_packages(commands: dict[str, str], present: Callable[[str], str | None] = which) -> tuple[str, ...]:
    """Debian packages to install for the commands that are not there."""
    packages = [package for command, package in commands.items() if present(command) is None]
    return tuple(name for package in packages for name in (package, *COMPANIONS.get(package, ())))


def ensure_commands(commands: dict[str, str]) -> None:
    """Installs what is missing. Raises ClusterError with the line to type where that is not possible."""
    packages = missing_packages(commands)
    if not packages:
        return
    if os.geteuid() != 0 or which("apt-get") is None:
        raise ClusterError(f"programs are missing; on Debian or Ubuntu: apt-get install {' '.join(packages)}")
    with step(f"Installing {', '.join(packages)}"):
        _apt("install", "--yes", "--no-install-recommends", *packages)


def unpacked(package: str) -> Path:
    """The root folder of a Debian package that was downloaded and unpacked into the cache, but not installed."""
    place = cache_folder() / "debian" / package
    if place.exists():
        return place
    if which("apt-get") is None:
        raise ClusterError(f"{package} is neither on PATH nor, without apt-get, to be had; please install it")
    place.parent.mkdir(parents=True, exist_ok=True)
    with step(f"Fetching {package}"), tempfile.TemporaryDirectory(dir=place.parent) as scratch:
        # apt drops its rights to a user who may not look into our folders, and would warn about it.
        _apt("download", "-o", "APT::Sandbox::User=root", package, folder=Path(scratch))
        archive = next(Path(scratch).glob("*.deb"))
        _run(["dpkg-deb", "--extract", str(archive), f"{scratch}/root"])
        Path(scratch, "root").chmod(0o755)
        Path(scratch, "root").rename(place)
    return place


def container_programs() -> tuple[Path, Path, Path]:
    """containerd (with its shim and `ctr` beside it), runc, and the folder of network plugins."""
    own = [which(name) for name in ("containerd", "containerd-shim-runc-v2", "ctr", "runc")]
    containerd = Path(own[0]) if own[0] and all(own) else unpacked("containerd") / "usr/bin/containerd"
    runc = Path(own[3]) if own[3] and all(own) else unpacked("runc") / "usr/sbin/runc"
    return containerd, runc, _cni_plugins()


def _cni_plugins() -> Path:
    for folder in map(Path, ("/opt/cni/bin", "/usr/lib/cni")):
        if (folder / "bridge").exists() and (folder / "host-local").exists():
            return folder
    return unpacked("containernetworking-plugins") / "usr/lib/cni"


def _apt(*arguments: str, folder: Path | None = None) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "--quiet", *arguments]
    try:
        _run(command, folder, environment)
    except ClusterError:
        # The usual reason: lists that are older than the packages on the mirror.
        _run(["apt-get", "--quiet", "update"], folder, environment)
        _run(command, folder, environment)


def _run(command: Sequence[str], folder: Path | None = None, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ClusterError(f"`{' '.join(command)}` failed: {last}")
