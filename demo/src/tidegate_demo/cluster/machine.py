"""What the node changes on this machine outside its own folders, and how each of these things is put back."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.cluster.layout import BRIDGE, NODE_ADDRESS, POD_RANGE, SERVICE_RANGE, Layout
from tidegate_demo.cluster.processes import kill_pids

# Set by us, by kube-proxy or by the kubelet; all of them as they were after `down`.
FORWARDING = {"net/ipv4/ip_forward": "1", "net/bridge/bridge-nf-call-iptables": "1"}
SET_BY_KUBELET = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)
# Folders whose place the programs do not let us choose.
SHIM_SOCKETS = Path("/run/containerd/s")
CNI_RESULTS = Path("/var/lib/cni/results")
CONTAINER_LOGS = Path("/var/log/containers")
KUBELET = Path("/var/lib/kubelet")
SHARED_FOLDERS = (SHIM_SOCKETS.parent, CNI_RESULTS.parent, CONTAINER_LOGS, KUBELET)
PROXY_TABLES = (("ip", "kube-proxy"), ("ip6", "kube-proxy"))
CGROUPS = Path("/sys/fs/cgroup")
PODS_CGROUP = "kubepods"


def read_machine() -> dict[str, Any]:
    """The settings and folders that `restore_machine` needs."""
    settings = (*FORWARDING, *SET_BY_KUBELET)
    values = {name: _setting(name).read_text().strip() for name in settings if _setting(name).exists()}
    return {"settings": values, "folders": [str(folder) for folder in SHARED_FOLDERS if folder.exists()]}


def remember_machine(layout: Layout) -> None:
    """Writes down how this machine is, once, before anything on it is changed."""
    if layout.machine_before.exists():
        return
    others = [table for table in PROXY_TABLES if table in nft_tables()]
    if others or pods_cgroups():
        raise ClusterError(
            "another Kubernetes node seems to run on this machine (its nftables tables or its kubepods cgroup are "
            "there); name it in TIDEGATE_CONTEXT instead of starting a second one"
        )
    scratch = layout.machine_before.with_suffix(".unfinished")
    scratch.write_text(json.dumps(read_machine(), indent=2))
    scratch.rename(layout.machine_before)


def restore_machine(layout: Layout) -> None:
    """Puts settings back, and removes shared folders that only our node has used."""
    if not layout.machine_before.exists():
        return
    before = json.loads(layout.machine_before.read_text())
    for name, value in before["settings"].items():
        if _setting(name).read_text().strip() != value:
            _setting(name).write_text(value)
    for folder in SHARED_FOLDERS:
        if str(folder) not in before["folders"]:
            if folder == KUBELET:
                (KUBELET / "device-plugins" / "kubelet.sock").unlink(missing_ok=True)
            _remove_tree_of_empty_folders(folder)


def _setting(name: str) -> Path:
    return Path("/proc/sys") / name


def _remove_tree_of_empty_folders(folder: Path) -> None:
    for parent, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            Path(parent).rmdir()


def ensure_network() -> None:
    """The bridge with the node's address, the way to Service addresses, and forwarding between pods."""
    if not _has_bridge():
        _run("ip", "link", "add", BRIDGE, "type", "bridge")
    _run("ip", "address", "replace", f"{NODE_ADDRESS}/{POD_RANGE.partition('/')[2]}", "dev", BRIDGE)
    _run("ip", "link", "set", BRIDGE, "up")
    # Without this route a request to a Service that is not there would leave through the default gateway.
    _run("ip", "route", "replace", SERVICE_RANGE, "dev", BRIDGE)
    if not _setting("net/bridge").exists():
        subprocess.run(["modprobe", "br_netfilter"], capture_output=True, check=False)
    for name, value in FORWARDING.items():
        if not _setting(name).exists():
            raise ClusterError("this kernel has no br_netfilter, which Services need when both pods are on one bridge")
        if _setting(name).read_text().strip() != value:
            _setting(name).write_text(value)


def remove_network() -> None:
    """Removes the bridge (its veth pairs went with their network namespaces) and kube-proxy's tables."""
    if _has_bridge():
        _run("ip", "link", "delete", BRIDGE)
    for family, table in PROXY_TABLES:
        if (family, table) in nft_tables():
            _run("nft", "delete", "table", family, table)


def _has_bridge() -> bool:
    return Path(f"/sys/class/net/{BRIDGE}").exists()


def nft_tables() -> tuple[tuple[str, str], ...]:
    """The nftables tables of this machine as (family, name); none where there is no nft to make them with."""
    if shutil.which("nft") is None:
        return ()
    words = (line.split() for line in _run("nft", "list", "tables").splitlines())
    return tuple((line[1], line[2]) for line in words if len(line) == 3)


def mounts_below(table: str, folders: Iterable[Path]) -> tuple[Path, ...]:
    """Mount points below our folders, the innermost first. `table` is the text of /proc/self/mountinfo. Pure."""
    points = [_unescape(line.split(" ")[4]) for line in table.splitlines()]
    below = [Path(point) for point in points if any(Path(point).is_relative_to(folder) for folder in folders)]
    return tuple(reversed(below))


def _unescape(field: str) -> str:
    """The kernel writes blanks and backslashes in a path as octal escapes."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def node_mounts(layout: Layout) -> tuple[Path, ...]:
    return mounts_below(Path("/proc/self/mountinfo").read_text(), (layout.state, layout.run))


def remove_mounts(layout: Layout) -> None:
    for point in node_mounts(layout):
        subprocess.run(["umount", "--lazy", str(point)], capture_output=True, check=False)


def pods_cgroups() -> tuple[Path, ...]:
    """The cgroup that holds all pods: one folder with cgroup v2, one for each controller with v1."""
    places = (CGROUPS / PODS_CGROUP, *CGROUPS.glob(f"*/{PODS_CGROUP}"))
    return tuple(place for place in places if place.is_dir() and not place.parent.is_symlink())


def kill_containers() -> None:
    """Ends every process of every pod."""
    kill_pids(sorted({pid for cgroup in pods_cgroups() for pid in _pids_in(cgroup)}))


def _pids_in(cgroup: Path) -> list[int]:
    found: list[int] = []
    for processes in cgroup.rglob("cgroup.procs"):
        with suppress(OSError):
            found.extend(int(line) for line in processes.read_text().split())
    return found


def remove_cgroups() -> None:
    for cgroup in pods_cgroups():
        _remove_tree_of_empty_folders(cgroup)


def remove_shared_files(layout: Layout) -> None:
    """Removes what the network plugins and the kubelet left in folders that they share with others."""
    for file in shared_files(layout):
        file.unlink(missing_ok=True)


def remove_shim_sockets(layout: Layout) -> None:
    """Removes what killed shims left; containerd would forget at its next start whose these were."""
    for socket in _shim_sockets(layout):
        socket.unlink(missing_ok=True)


def _shim_sockets(layout: Layout) -> list[Path]:
    tasks = layout.run / "containerd" / "io.containerd.runtime.v2.task" / "k8s.io"
    sockets = (shim_socket(layout, task.name) for task in tasks.glob("*"))
    return [socket for socket in sockets if socket.exists()]


def shared_files(layout: Layout) -> tuple[Path, ...]:
    """Our files in shared folders: sockets of our shims, results of our network's plugins, links to our pods' logs."""
    ours = {file.name.removeprefix(f"{BRIDGE}-").rsplit("-", 1)[0] for file in CNI_RESULTS.glob(f"{BRIDGE}-*")}
    results = (file for file in CNI_RESULTS.glob("*") if any(name in file.name for name in ours))
    links = (link for link in CONTAINER_LOGS.glob("*") if _points_below(link, layout.state))
    return tuple(sorted((*_shim_sockets(layout), *results, *links)))


def shim_socket(layout: Layout, container: str) -> Path:
    """Where containerd puts the socket of a container's shim, whatever its own folders are. Pure."""
    return SHIM_SOCKETS / hashlib.sha256(f"{layout.containerd_socket}/k8s.io/{container}".encode()).hexdigest()


def _points_below(link: Path, folder: Path) -> bool:
    return link.is_symlink() and Path(os.readlink(link)).is_relative_to(folder)


def leftovers(layout: Layout) -> Mapping[str, tuple[str, ...]]:
    """What of the node is on this machine outside its processes, by kind; empty when there is nothing."""
    found = {
        "mount": tuple(map(str, node_mounts(layout))),
        "network interface": (BRIDGE,) if _has_bridge() else (),
        "nftables table": tuple(" ".join(table) for table in nft_tables() if table in PROXY_TABLES),
        "cgroup": tuple(map(str, pods_cgroups())),
        "file": tuple(map(str, shared_files(layout))),
        "folder": tuple(str(folder) for folder in (layout.state, layout.run) if folder.exists()),
    }
    return {kind: names for kind, names in found.items() if names}


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout
