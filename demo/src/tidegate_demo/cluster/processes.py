"""Starts and stops the node's processes.

A process is recognised by two variables in its environment, which every program that it starts inherits; so there are
no pid files that could go stale, and nothing that was started just before an interrupt is lost. It is signalled
through a pidfd, so that a pid that was used again meanwhile belongs to nobody we hit.
"""

import os
import select
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tidegate_demo.cluster.daemons import Daemon
from tidegate_demo.cluster.layout import Layout

NODE = "TIDEGATE_NODE_STATE"
DAEMON = "TIDEGATE_NODE_DAEMON"
KILLED_WITHIN = 10.0  # seconds until a killed process is surely gone
GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


@dataclass(frozen=True)
class Process:
    """A process of the node: `daemon` names who started it, and itself if `command` is that daemon's."""

    pid: int
    daemon: str  # name:fingerprint
    command: tuple[str, ...]

    def is_running(self, daemon: Daemon) -> bool:
        return self.daemon == _identity(daemon) and self.command == daemon.command


def _identity(daemon: Daemon) -> str:
    return f"{daemon.name}:{daemon.fingerprint}"


def node_processes(layout: Layout) -> tuple[Process, ...]:
    """Every living process that the node started, directly or not (containers have an environment of their own)."""
    pids = (int(entry) for entry in os.listdir("/proc") if entry.isdigit())
    seen = (_read_process(pid, layout) for pid in pids if pid != os.getpid())
    return tuple(process for process in seen if process is not None)


def pod_processes(pod: str, word: str = "") -> list[int]:
    """The pids of a pod's containers, known by the host name that a pod gives them; those with `word` in their command
    line. None of them where the pod runs on another machine."""
    pids = (int(entry) for entry in os.listdir("/proc") if entry.isdigit())
    return [pid for pid in pids if _is_of_pod(pid, pod, word)]


def _is_of_pod(pid: int, pod: str, word: str) -> bool:
    try:
        return f"HOSTNAME={pod}" in _read_list(pid, "environ") and word in " ".join(_read_list(pid, "cmdline"))
    except GONE:
        return False


def _read_process(pid: int, layout: Layout) -> Process | None:
    try:
        variables = dict(
            item.split("=", 1) for item in _read_list(pid, "environ") if item.startswith((f"{NODE}=", f"{DAEMON}="))
        )
        if variables.get(NODE) != str(layout.state):
            return None
        return Process(pid, variables.get(DAEMON, ""), _read_list(pid, "cmdline"))
    except GONE:
        return None


def _read_list(pid: int, name: str) -> tuple[str, ...]:
    text = Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")
    return tuple(text.removesuffix("\0").split("\0"))


def start(daemon: Daemon, layout: Layout, path: Sequence[Path] = ()) -> None:
    """Starts a daemon in a session of its own, so that Ctrl-C in the terminal does not reach it.

    `path` holds folders to look for helper programs in before this process's own PATH.
    """
    for file, text in daemon.files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    folders = os.pathsep.join([*map(str, path), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    keep = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment = keep | {"PATH": folders, NODE: str(layout.state), DAEMON: _identity(daemon)}
    with (layout.logs / f"{daemon.name}.log").open("ab") as log:
        # setsid forks, so the daemon is init's child, and no zombie of it stays with us.
        command = ("setsid", "--fork", "env", "--chdir=/", *daemon.command)
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, check=True)


def stop(processes: Sequence[Process], layout: Layout, grace: float) -> None:
    """Ends processes, and kills those that are still there after `grace` seconds."""
    with _handles(processes, layout) as handles:
        for handle in handles:
            _signal(handle, signal.SIGTERM)
        for handle in _wait(handles, grace):
            _signal(handle, signal.SIGKILL)
        _wait(handles, KILLED_WITHIN)


def kill_pids(pids: Sequence[int]) -> None:
    """Kills processes that are known to be ours by where they are (their cgroup), and waits until they are gone."""
    handles = []
    for pid in pids:
        with suppress(*GONE):
            handles.append(os.pidfd_open(pid))
    for handle in handles:
        _signal(handle, signal.SIGKILL)
    _wait(handles, KILLED_WITHIN)
    for handle in handles:
        os.close(handle)


@contextmanager
def _handles(processes: Sequence[Process], layout: Layout) -> Iterator[list[int]]:
    handles = []
    for process in processes:
        with suppress(*GONE):
            handle = os.pidfd_open(process.pid)
            handles.append(handle)
            # Looked at again now that the handle is held: the pid may have passed to somebody else before.
            if _read_process(process.pid, layout) is None:
                os.close(handles.pop())
    try:
        yield handles
    finally:
        for handle in handles:
            os.close(handle)


def _signal(handle: int, number: signal.Signals) -> None:
    with suppress(*GONE):
        signal.pidfd_send_signal(handle, number)


def _wait(handles: Sequence[int], seconds: float) -> list[int]:
    """Waits for processes to end; returns the handles of those that have not."""
    left = list(handles)
    poll = select.poll()
    for handle in left:
        poll.register(handle, select.POLLIN)
    while left:
        ended = poll.poll(seconds * 1000)
        if not ended:
            return left
        for handle, _ in ended:
            poll.unregister(handle)
            left.remove(handle)
    return left
