"""The operator's processes on this machine, to be stopped and continued as a starved or frozen node would."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tidegate_demo import place
from tidegate_demo.cluster.processes import pod_processes
from tidegate_demo.kubectl import Kubectl

LEASE = "tidegate-operator"


def leader(kubectl: Kubectl) -> str:
    """The pod that holds the Lease."""
    holder = "jsonpath={.spec.holderIdentity}"
    return kubectl.run("--namespace", place.RELEASE_NAMESPACE, "get", "lease", LEASE, "--output", holder)


def until_led(kubectl: Kubectl, *, but_by: str = "", seconds: float = 60) -> str:
    """Waits until an operator's pod that is there holds the Lease; another one than `but_by`."""
    deadline = time.monotonic() + seconds
    while True:
        pods = kubectl.run(
            *("--namespace", place.RELEASE_NAMESPACE, "get", "pods", "--selector", place.OPERATOR_PODS),
            *("--output", "jsonpath={.items[*].metadata.name}"),
        )
        if (holder := leader(kubectl)) in pods.split() and holder != but_by:
            return holder
        assert time.monotonic() < deadline, f"no operator leads: {holder!r}"
        time.sleep(0.5)


@contextmanager
def stopped(pod: str) -> Iterator[None]:
    """The processes of the pod's operator get no time while inside. Skips where they aren't on this machine."""
    processes = pod_processes(pod)
    if not processes:
        pytest.skip("the operator's processes are on another machine")
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)
