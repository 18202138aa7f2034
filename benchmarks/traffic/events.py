"""The events, one function each. A function returns when what it began is over; the load goes on all the while."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.errors import ScenarioAborted
from benchmarks.traffic.bed import BLUE_GREEN, NAME, NAMESPACE, PODS, Bed
from benchmarks.traffic.long_requests import under_way
from benchmarks.traffic.results import LONG
from benchmarks.traffic.signals import api_servers, send, stopped
from tidegate_demo import place
from tidegate_demo.cluster import prometheus
from tidegate_demo.cluster.processes import pod_processes

AWAY_SECONDS = 60.0
LONG_SECONDS = 60.0
ROUTER = "app.kubernetes.io/component=router"
ENVOY, AGENT, OPERATOR = "_bin/envoy", "router-agent", "operator"
"""Words of their command lines."""
Event = Callable[[Bed], None]


@dataclass(frozen=True)
class Known:
    """An event's function, and what the table calls it."""

    title: str
    run: Event


def promote(bed: Bed) -> None:
    before = bed.release_next()
    bed.until_ended(before, "Promoted")
    bed.settled()


def abort(bed: Bed) -> None:
    before = bed.release_next()
    seen = bed.until_weight(50)
    candidate = seen.candidate.revision if seen.candidate else ""
    bed.run("annotate", "modeldeployment", NAME, f"tidegate.dev/abort={candidate} by the benchmark")
    bed.until_ended(before, "Aborted")
    bed.settled()


def blue_green(bed: Bed) -> None:
    before = bed.release_next(strategy=BLUE_GREEN)
    seen = bed.until_weight(100)
    back = bed.version
    bed.until_ended(before, "Promoted")
    bed.settled()
    before = bed.release_next(strategy=BLUE_GREEN)
    seen = bed.until_weight(100)
    candidate = seen.candidate.revision if seen.candidate else ""
    bed.run("annotate", "modeldeployment", NAME, f"tidegate.dev/abort={candidate} by the benchmark")
    bed.until_ended(before, "Aborted")
    bed.settled()
    bed.version = back


def supersede(bed: Bed) -> None:
    bed.release_next()
    bed.until_weight(20)
    before = bed.release_next()
    bed.until_ended(before, "Superseded")
    ended = bed.sight.seen
    bed.until_ended(ended, "Promoted")
    bed.settled()


def scale(bed: Bed) -> None:
    """Before any rollout: for some minutes after one a model keeps the pods that all its requests needed then."""
    try:
        for replicas in (3, 1, 5):
            bed.patch({"replicas": replicas})
            bed.until_ready(replicas)
            time.sleep(3)
    finally:
        bed.patch({"replicas": PODS})
    bed.until_ready(PODS)


def delete_pods(bed: Bed) -> None:
    stable = bed.sight.seen.stable
    for pod in bed.pods(f"tidegate.dev/revision={stable.revision if stable else ''}"):
        bed.run("delete", "pod", pod, "--wait=false")
        time.sleep(2)
        bed.until_ready(PODS)
        time.sleep(3)


def roll_routers(bed: Bed) -> None:
    bed.system("rollout", "restart", "deployment/tidegate-router")
    bed.system("rollout", "status", "deployment/tidegate-router", "--timeout=110s")
    time.sleep(15)  # the last one drains


def kill_envoy(bed: Bed) -> None:
    for pod in bed.pods(ROUTER, place.RELEASE_NAMESPACE)[:2]:
        kill(pod, ENVOY)
        time.sleep(10)
        routers_ready(bed)


def kill_agent(bed: Bed) -> None:
    for pod in bed.pods(ROUTER, place.RELEASE_NAMESPACE)[:2]:
        before = bed.release_next()
        bed.until_weight(20)
        kill(pod, AGENT)
        bed.until_ended(before, "Promoted")
        bed.settled()
        routers_ready(bed)


def kill_operator(bed: Bed) -> None:
    """At each step: while the candidate's pods start, and with 20, 50 and 100 %."""
    before = bed.release_next()
    for weight in (0, 20, 50, 100):
        bed.until_weight(weight)
        for pod in bed.pods(place.OPERATOR_PODS, place.RELEASE_NAMESPACE):
            kill(pod, OPERATOR)
    bed.until_ended(before, "Promoted", seconds=240)
    bed.settled()


def no_api_server(bed: Bed) -> None:
    before = bed.release_next()
    bed.until_weight(20)
    with api_server_stopped():
        time.sleep(AWAY_SECONDS)
    bed.until_ended(before, "Promoted", seconds=240)
    bed.settled()


def no_prometheus(bed: Bed) -> None:
    there, what = ("--namespace", prometheus.NAMESPACE), f"deployment/{prometheus.NAME}"
    before = bed.release_next()
    bed.until_weight(20)
    bed.kubectl.run(*there, "scale", what, "--replicas=0")
    try:
        time.sleep(AWAY_SECONDS)
    finally:
        bed.kubectl.run(*there, "scale", what, "--replicas=1")
    bed.until_ended(before, "Promoted", seconds=240)
    bed.settled()


def long_requests(bed: Bed) -> None:
    """Requests that take a minute, begun every second, across a whole promotion and the end of the old pods."""
    with under_way(bed.router, f"{NAME}.{NAMESPACE}", LONG_SECONDS, bed.models.images[0]) as found:
        time.sleep(3)
        before = bed.release_next()
        bed.until_ended(before, "Promoted", seconds=240)
        bed.settled()
    bed.found.append({LONG: {**found.counts.to_dict(), "examples": found.examples}})


EVENTS: Mapping[str, Known] = {
    "scale": Known("3 pods, 1, 5, and 2 again", scale),
    "promote": Known("a promotion by canary", promote),
    "abort": Known("an abort at 50 %", abort),
    "blue-green": Known("blue-green, there and (the next one) back", blue_green),
    "supersede": Known("a third model while the second is on its way", supersede),
    "delete-pods": Known("each of the model's pods deleted in turn", delete_pods),
    "roll-routers": Known("a rolling restart of the routers", roll_routers),
    "kill-envoy": Known("kill -9 of each router's Envoy in turn", kill_envoy),
    "kill-agent": Known("kill -9 of each router's agent, in a canary each", kill_agent),
    "kill-operator": Known("kill -9 of the operator at each step of a canary", kill_operator),
    "no-api-server": Known("the API server frozen for a minute in a canary", no_api_server),
    "no-prometheus": Known("Prometheus away for a minute in a canary", no_prometheus),
    "long-requests": Known("requests of a minute across a promotion", long_requests),
}
KILLS_ENVOY = ("kill-envoy",)


def kill(pod: str, word: str) -> None:
    """kill -9 of what has this word in its command line, in a pod on this machine."""
    pids = pod_processes(pod, word)
    if not pids:
        raise ScenarioAborted(f"no process of {pod} with {word} in its command line is on this machine")
    send(pids, signal.SIGKILL)


def routers_ready(bed: Bed) -> None:
    """Waits until Kubernetes has all routers ready."""
    bed.system("rollout", "status", "deployment/tidegate-router", "--timeout=110s")


@contextmanager
def api_server_stopped() -> Iterator[None]:
    """It answers nobody while inside: connections to it are taken, and stay silent."""
    pids = api_servers()
    if not pids:
        raise ScenarioAborted("the API server isn't a process of the one-node cluster on this machine")
    with stopped(pids, AWAY_SECONDS + 30):
        yield
