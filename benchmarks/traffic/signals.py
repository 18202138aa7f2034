"""Processes on this machine that are killed, or stopped for a while."""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from tidegate_demo.cluster.layout import Layout
from tidegate_demo.cluster.processes import GONE, node_processes


def api_servers() -> list[int]:
    """The pids of the one-node cluster's API server; none where it isn't on this machine."""
    return [each.pid for each in node_processes(Layout()) if each.daemon.startswith("kube-apiserver:")]


def send(pids: Sequence[int], number: signal.Signals) -> None:
    """To those that are still there."""
    for pid in pids:
        with suppress(*GONE):
            os.kill(pid, number)


@contextmanager
def stopped(pids: Sequence[int], longest: float) -> Iterator[None]:
    """They do nothing while inside, and for `longest` seconds at most."""
    send(pids, signal.SIGSTOP)
    # Whatever happens to us: nobody else would let them go on.
    guard = threading.Timer(longest, send, (pids, signal.SIGCONT))
    guard.start()
    try:
        yield
    finally:
        guard.cancel()
        send(pids, signal.SIGCONT)
