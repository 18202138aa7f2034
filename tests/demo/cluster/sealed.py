"""Runs a Python program on this machine as if it were alone there: own network, processes, mounts and cgroups.

The node has fixed addresses and folders, so a second one cannot run beside the first. In here it can, and whatever
the program does to "the machine" ends with it; a node that somebody uses outside is not touched.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
NAMESPACES = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--cgroup", "--mount-proc")
# Folders that the node and its programs write to. Each is hidden behind an empty one.
COVERED = ("/run", "/var/lib", "/var/log")


def why_not() -> str | None:
    """Why nothing can be sealed here, or None if it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "namespaces of one's own need Linux and root"
    if not (CGROUPS / "memory").is_dir():
        return "only cgroup v1 is sealed off so far"
    return None


def run_sealed(program: Path, scratch: Path, seconds: float) -> str:
    """What the program prints. Raises CalledProcessError if it fails, TimeoutExpired after `seconds`."""
    with _own_cgroups() as folders:
        script = "\n".join((*_enter(folders), "exec unshare " + " ".join(NAMESPACES) + ' sh -euc "$INSIDE" sh "$@"'))
        environment = os.environ | {"INSIDE": "\n".join((*_inside(scratch), 'exec "$@"'))}
        command = ["sh", "-euc", script, "sh", sys.executable, "-W", "error", str(program)]
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=None, text=True, timeout=seconds, check=True
        )
    return done.stdout


def _hierarchies() -> dict[str, str]:
    """This process's cgroup in each v1 hierarchy, by the hierarchy's options."""
    lines = (line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines())
    return {options: path for _, options, path in lines if options}


@contextmanager
def _own_cgroups() -> Iterator[list[Path]]:
    """A cgroup in each hierarchy, to become the root of what is sealed."""
    names = {options: options.removeprefix("name=") for options in _hierarchies()}
    folders = [CGROUPS / names[o] / path.lstrip("/") / f"sealed-{os.getpid()}" for o, path in _hierarchies().items()]
    for folder in folders:
        folder.mkdir()
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (folder / setting).exists():
                (folder / setting).write_text((folder.parent / setting).read_text())
    try:
        yield folders
    finally:
        for folder in folders:
            _remove(folder)


def _remove(folder: Path) -> None:
    for parent, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            Path(parent).rmdir()


def _enter(folders: list[Path]) -> list[str]:
    return [f"echo $$ > {folder}/cgroup.procs" for folder in folders]


def _inside(scratch: Path) -> list[str]:
    """Shell lines that make the namespaces look like a machine."""
    lines = ["mount --make-rprivate /", "mount -t sysfs sysfs /sys", "mount -t tmpfs tmpfs /sys/fs/cgroup"]
    for options in _hierarchies():
        place = CGROUPS / options.removeprefix("name=")
        lines += [f"mkdir -p {place}", f"mount -t cgroup -o {options} cgroup {place}"]
    # A copy of the mounts of a node that runs outside came with the new namespace; here they only stand in the way.
    covered = "|".join(COVERED)
    lines.append(f"cut -d' ' -f5 /proc/self/mountinfo | grep -E '^({covered})/' | tac | xargs -r -n1 umount --lazy")
    for folder in COVERED:
        cover = scratch / folder.strip("/").replace("/", "-")
        cover.mkdir()
        lines.append(f"mount --bind {cover} {folder}")
    return [*lines, "ip link set lo up"]
