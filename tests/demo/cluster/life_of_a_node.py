"""The life of a node, told as JSON: started, broken, healed, halted as by a reboot, started again, removed.

A program of its own, because it is run on a machine that looks empty (see `sealed.py`).
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import requests

from tidegate_demo.cluster import images, node
from tidegate_demo.cluster.contexts import OneNode, ensure_prometheus
from tidegate_demo.cluster.kubectl import kubectl
from tidegate_demo.cluster.machine import read_machine
from tidegate_demo.cluster.packages import container_programs
from tidegate_demo.cluster.processes import node_processes

FOLDERS = ("/run", "/var/lib", "/var/log", "/etc/cni", "/opt", "/usr/libexec")
PATIENCE = 60.0  # seconds


def state_of_the_machine() -> dict[str, object]:
    """Everything that a node could leave its traces in."""
    commands = ("nft list ruleset", "iptables-save", "ip -brief link", "ip -4 route")
    return {
        "settings": read_machine()["settings"],
        "folders": [sorted(str(file) for file in Path(folder).rglob("*")) for folder in FOLDERS],
        "network": [subprocess.run(command.split(), capture_output=True, text=True).stdout for command in commands],
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "cgroups": sorted(str(file) for file in Path("/sys/fs/cgroup").glob("*/*/") if file.is_dir()),
    }


def seconds_of_up(cluster: OneNode) -> float:
    began = time.monotonic()
    cluster.up()
    return round(time.monotonic() - began, 2)


def answers(url: str) -> bool:
    """Whether a pod answers behind its Service within a minute; it was asked from this machine."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if requests.get(url, timeout=2).ok:
                return True
        except requests.RequestException:
            time.sleep(0.2)
    return False


def kill(cluster: OneNode, daemon: str) -> None:
    """Ends a daemon as a crash would."""
    for process in node_processes(cluster.layout):
        if process.command[0].endswith(daemon):
            os.kill(process.pid, signal.SIGKILL)


def tell() -> dict[str, object]:
    cluster = OneNode()
    if cluster.layout.state.exists():
        raise SystemExit(f"{cluster.layout.state} exists: this machine isn't empty")
    told: dict[str, object] = {"before": state_of_the_machine()}
    # What an interrupt in the middle of making certificates leaves.
    (cluster.layout.state / "pki.unfinished").mkdir(parents=True)
    told["seconds, first"] = seconds_of_up(cluster)
    containerd, _, _ = container_programs()
    images.load([images.pause_image(), images.prometheus_image()], cluster.layout, containerd.parent / "ctr")
    url = ensure_prometheus(cluster) + "/-/ready"
    told["answers, first"] = answers(url)
    told["seconds, running"] = seconds_of_up(cluster)
    for daemon in ("etcd", "kubelet"):
        kill(cluster, daemon)
    told["seconds, after a crash"] = seconds_of_up(cluster)
    told["answers, after a crash"] = answers(url)
    node.halt(cluster.layout)
    told["processes, halted"] = len(node_processes(cluster.layout))
    told["seconds, after a reboot"] = seconds_of_up(cluster)
    told["answers, after a reboot"] = answers(url)
    told["executes"] = kubectl(
        cluster, "-n", "monitoring", "exec", "deploy/prometheus", "--", "/bin/prometheus", "--version"
    )
    cluster.down()
    told["left"] = node.audit(cluster.layout)
    told["after"] = state_of_the_machine()
    return told


if __name__ == "__main__":
    json.dump(tell(), sys.stdout)
