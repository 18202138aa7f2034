"""A one-node Kubernetes on this machine: up, down, and what is left of it.

Every step looks first and acts only where something is missing, so `up` heals whatever an interrupt or a reboot left,
and costs a second or two on a node that runs.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import requests

from tidegate_demo.cluster import machine
from tidegate_demo.cluster.configs import portable_kubeconfig
from tidegate_demo.cluster.daemons import Daemon, Tools, daemons
from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.cluster.layout import API_SERVER, ETCD_CLIENTS, NODE_NAME, Layout, cache_folder
from tidegate_demo.cluster.locks import alone
from tidegate_demo.cluster.pki import AUTHORITY, ensure_pki
from tidegate_demo.cluster.processes import node_processes, start, stop
from tidegate_demo.cluster.progress import step

READY_WITHIN = 120.0  # seconds, for each daemon
GONE_FOR = 2.0  # seconds without a process before a daemon counts as ended
GRACE = 10.0  # seconds between asking a daemon to end and killing it
# Whom to stop together, and the seconds to wait before killing. Whoever needs another one ends before it. The API
# server holds nothing that could be lost, and would wait for its watchers' connections to end.
STOP_ORDER = (
    (("kubelet", "kube-proxy", "kube-scheduler", "kube-controller-manager"), GRACE),
    (("kube-apiserver",), 1.0),
    (("etcd",), GRACE),
)


def up(layout: Layout, tools: Callable[[], Tools]) -> None:
    """Brings the node to Ready. `tools` is asked only after it is clear that a node can run here.

    Raises ClusterError with a sentence that says what to do.
    """
    _require_root()
    with _only_one_of_us():
        wanted = tools()
        _prepare(layout)
        everyone = {daemon.name: daemon for daemon in daemons(layout, wanted)}
        with step("Starting the node"):
            _ensure(everyone, ("etcd", "containerd"), layout, wanted)
            _await("etcd", lambda: _etcd_answers(), everyone["etcd"], layout)
            _ensure(everyone, ("kube-apiserver",), layout, wanted)
            _await("the API server", lambda: _api_ready(layout), everyone["kube-apiserver"], layout)
            _await("containerd", layout.containerd_socket.exists, everyone["containerd"], layout)
            others = tuple(name for name in everyone if name not in ("etcd", "containerd", "kube-apiserver"))
            _ensure(everyone, others, layout, wanted)
            _await("the node", lambda: _node_ready(layout), everyone["kubelet"], layout)
            _await("service accounts", lambda: _pods_allowed(layout), everyone["kube-controller-manager"], layout)


def halt(layout: Layout) -> None:
    """Stops everything that runs and keeps the state, as a reboot does."""
    _require_root()
    with _only_one_of_us():
        _halt(layout)


def down(layout: Layout) -> None:
    """Removes every trace of the node from this machine. Programs and images stay in the cache folder."""
    _require_root()
    with _only_one_of_us(), step("Removing the node"):
        _halt(layout)
        machine.remove_shared_files(layout)
        machine.restore_machine(layout)
        for folder in (layout.run, layout.state):
            shutil.rmtree(folder, ignore_errors=True)


def audit(layout: Layout) -> tuple[str, ...]:
    """What of the node is on this machine, one line each; nothing after `down`."""
    running = (f"process {process.pid}: {' '.join(process.command)[:100]}" for process in node_processes(layout))
    left = (f"{kind}: {name}" for kind, names in machine.leftovers(layout).items() for name in names)
    return (*running, *left)


def is_up(layout: Layout) -> bool:
    """Whether the node answers and is Ready."""
    return layout.pki.exists() and _api_ready(layout) and _node_ready(layout)


def _halt(layout: Layout) -> None:
    for names, grace in STOP_ORDER:
        stop([process for process in node_processes(layout) if _daemon_name(process.daemon) in names], layout, grace)
    machine.kill_containers()
    # containerd and its shims: with no container left they have nothing to finish, and shims ignore a polite signal.
    stop(node_processes(layout), layout, grace=0)
    machine.remove_shim_sockets(layout)
    machine.remove_mounts(layout)
    machine.remove_cgroups()
    machine.remove_network()


def _daemon_name(identity: str) -> str:
    return identity.partition(":")[0]


def _prepare(layout: Layout) -> None:
    for folder in (layout.state, layout.run, layout.config, layout.logs):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    machine.remember_machine(layout)
    machine.ensure_network()
    ensure_pki(layout)
    pems = (layout.certificate(AUTHORITY), layout.certificate("admin"), layout.key("admin"))
    text = portable_kubeconfig("admin", *(pem.read_bytes() for pem in pems))
    if not layout.kubeconfig.exists() or layout.kubeconfig.read_text() != text:
        layout.kubeconfig.touch(mode=0o600)
        layout.kubeconfig.write_text(text)


def _ensure(everyone: dict[str, Daemon], names: tuple[str, ...], layout: Layout, tools: Tools) -> None:
    """Starts the named daemons that do not run, or run with other flags than today's."""
    alive = node_processes(layout)
    for name in names:
        daemon = everyone[name]
        if any(process.is_running(daemon) for process in alive):
            continue
        stop(
            [p for p in alive if _daemon_name(p.daemon) == name and p.command[:1] == daemon.command[:1]], layout, GRACE
        )
        start(daemon, layout, path=(tools.containerd.parent, tools.runc.parent))


def _await(what: str, ready: Callable[[], bool], daemon: Daemon, layout: Layout) -> None:
    """Waits until something answers; gives up when time is over, or when the daemon has been gone for a while."""
    began = last_seen = time.monotonic()
    while not ready():
        now = time.monotonic()
        if any(_daemon_name(process.daemon) == daemon.name for process in node_processes(layout)):
            last_seen = now
        # Between fork and exec a process has no environment to be recognised by, so one look is not enough.
        gone = now - last_seen > GONE_FOR
        if gone or now - began > READY_WITHIN:
            how = f"{daemon.name} ended" if gone else f"{what} was not ready after {READY_WITHIN:.0f} s"
            log = layout.logs / f"{daemon.name}.log"
            raise ClusterError(f"{how}; the end of {log}:\n{_tail(log)}")
        time.sleep(0.1)


def _tail(log: Path, lines: int = 8) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _etcd_answers() -> bool:
    try:
        return requests.get(f"{ETCD_CLIENTS}/health", timeout=2).ok
    except requests.RequestException:
        return False


def _api_ready(layout: Layout) -> bool:
    return _get(layout, "/readyz") is not None


def _node_ready(layout: Layout) -> bool:
    node = _get(layout, f"/api/v1/nodes/{NODE_NAME}")
    if node is None:
        return False
    conditions = node.json()["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _pods_allowed(layout: Layout) -> bool:
    """Pods are refused until their namespace has its default service account."""
    return _get(layout, "/api/v1/namespaces/default/serviceaccounts/default") is not None


def _get(layout: Layout, path: str) -> requests.Response | None:
    """An answer of the API server, or None while it has none."""
    certificate = (str(layout.certificate("admin")), str(layout.key("admin")))
    try:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(
                API_SERVER + path, cert=certificate, verify=str(layout.certificate(AUTHORITY)), timeout=5
            )
            return answer if answer.ok else None
    except requests.RequestException:
        return None


def _require_root() -> None:
    if sys.platform != "linux":
        raise ClusterError("the one-node cluster needs Linux; name a cluster in TIDEGATE_CONTEXT, or install kind")
    if os.geteuid() != 0:
        raise ClusterError("the one-node cluster needs root; run this with sudo, or name a cluster in TIDEGATE_CONTEXT")


def _only_one_of_us() -> AbstractContextManager[None]:
    """Two runs that start or stop the node at once would undo each other's work."""
    return alone(cache_folder() / "node.lock", "starting or stopping the node")
