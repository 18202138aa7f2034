"""Does to processes on this machine what a plan says. Each function returns when the fault is over."""

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.chaos.plan import Component, Fault, Kind
from benchmarks.errors import ScenarioAborted
from benchmarks.traffic.bed import Bed
from benchmarks.traffic.events import AGENT, ENVOY, OPERATOR, ROUTER
from benchmarks.traffic.signals import api_servers, send, stopped
from tidegate_demo import place
from tidegate_demo.cluster import prometheus
from tidegate_demo.cluster.processes import pod_processes

LASTS_SECONDS = 5.0
SLOW_STEP_SECONDS = 0.08
SLOW_RUNS = 4
"""A slow process runs in one step of so many: a twentieth of a second, and then it waits for three times as long."""
PROMETHEUS = f"app.kubernetes.io/name={prometheus.NAME}"
XDS = "/run/tidegate/xds"
FILLER = "filler"
CHUNK = b"\0" * 2**16
MOST_CHUNKS = 2**12
"""Four times what the volume has: where it has no bound, the machine's memory isn't filled."""


def strike(bed: Bed, fault: Fault) -> str:
    """What was struck, in words. Raises ScenarioAborted where it isn't on this machine."""
    name, pids = FINDERS[fault.component](bed)
    if not pids:
        raise ScenarioAborted(f"no process of {fault.component} is on this machine")
    HANDS[fault.kind](pids)
    return f"{fault.phase}: {fault.component} ({name}) {fault.kind}"


def _killed(pids: Sequence[int]) -> None:
    send(pids, signal.SIGKILL)


def _frozen(pids: Sequence[int]) -> None:
    with stopped(pids, 2 * LASTS_SECONDS):
        time.sleep(LASTS_SECONDS)


def _slow(pids: Sequence[int]) -> None:
    with stopped(pids, 2 * LASTS_SECONDS):
        ends = time.monotonic() + LASTS_SECONDS
        while time.monotonic() < ends:
            send(pids, signal.SIGSTOP)
            time.sleep((SLOW_RUNS - 1) * SLOW_STEP_SECONDS)
            send(pids, signal.SIGCONT)
            time.sleep(SLOW_STEP_SECONDS)


def _full(pids: Sequence[int]) -> None:
    """The volume that an agent and its Envoy share has a bound of its own, in memory."""
    filler = shared_volume(pids[0]) / FILLER
    try:
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            for _ in range(MOST_CHUNKS):
                file.write(CHUNK)
        time.sleep(LASTS_SECONDS)
    finally:
        with suppress(OSError):
            filler.unlink()


def shared_volume(pid: int, proc: Path = Path("/proc")) -> Path:
    """Where the volume is for this machine. Raises ScenarioAborted where the process has none.

    By the kernel's own list: /var/run is a link in the image, and from here it would lead out of the container.
    """
    mounts = [line.split()[4] for line in (proc / str(pid) / "mountinfo").read_text().splitlines()]
    found = next((point for point in mounts if point.endswith(XDS)), None)
    if found is None:
        raise ScenarioAborted(f"process {pid} has no volume at {XDS}")
    return proc / str(pid) / "root" / found.lstrip("/")


HANDS: Mapping[Kind, Callable[[Sequence[int]], None]] = {
    Kind.KILLED: _killed,
    Kind.FROZEN: _frozen,
    Kind.SLOW: _slow,
    Kind.FULL: _full,
}


Found = tuple[str, list[int]]


def _in_release(selector: str, word: str) -> Callable[[Bed], Found]:
    return lambda bed: _first(bed.pods(selector, place.RELEASE_NAMESPACE), word)


def _of_stable(bed: Bed) -> Found:
    stable = bed.sight.seen.stable
    return _of_revision(bed, stable.revision if stable else "")


def _of_candidate(bed: Bed) -> Found:
    candidate = bed.sight.seen.candidate
    return _of_revision(bed, candidate.revision if candidate else "")


def _of_revision(bed: Bed, revision: str) -> Found:
    return _first(bed.pods(f"tidegate.dev/revision={revision}"), "")


def _prometheus(bed: Bed) -> Found:
    return _first(bed.pods(PROMETHEUS, prometheus.NAMESPACE), "")


def _api_server(_: Bed) -> Found:
    return "kube-apiserver", api_servers()


def _first(pods: Sequence[str], word: str) -> Found:
    """The first that has processes here; a pod that is only starting has none yet."""
    found = ((pod, pod_processes(pod, word)) for pod in pods)
    return next(((pod, pids) for pod, pids in found if pids), ("", []))


FINDERS: Mapping[Component, Callable[[Bed], Found]] = {
    Component.OPERATOR: _in_release(place.OPERATOR_PODS, OPERATOR),
    Component.AGENT: _in_release(ROUTER, AGENT),
    Component.ENVOY: _in_release(ROUTER, ENVOY),
    Component.STABLE: _of_stable,
    Component.CANDIDATE: _of_candidate,
    Component.PROMETHEUS: _prometheus,
    Component.API_SERVER: _api_server,
}
