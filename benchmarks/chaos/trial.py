"""One release that is struck while it goes on: how it ended, what was lost, and what was seen of it."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from benchmarks.chaos.plan import Phase, Release
from benchmarks.chaos.strike import PROMETHEUS, strike
from benchmarks.errors import ScenarioAborted
from benchmarks.traffic.bed import NAME, Bed
from benchmarks.traffic.counts import THEN, Counts, total
from benchmarks.traffic.events import ROUTER, routers_ready
from benchmarks.traffic.results import result
from tidegate_demo import place
from tidegate_demo.cluster import prometheus
from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.kubectl import KubectlError
from tidegate_demo.seen import Ended, Seen

Found = TypeVar("Found")
FAILING = "v3"
WEIGHTS = ((20, Phase.FIRST_STEP), (50, Phase.SECOND_STEP), (100, Phase.ALL))
ENDS_WITHIN = 300.0
MOST_RESTARTS = 1
"""Of a container, before its pod is replaced: Kubernetes waits twice as long each time, and that isn't tried here."""
OWN = "500 of a model server"
"""What the failing model answers by itself."""


@dataclass
class Trial:
    """What came of one release. `wrong` is empty where all was as it should be."""

    number: int
    release: Release
    struck: list[str] = field(default_factory=list)
    outcome: str = ""
    seconds: float = 0.0
    counts: Counts = field(default_factory=Counts)
    trouble: str = ""
    lines: list[str] = field(default_factory=list)
    examples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """Requests without the failing model's own failures."""
        return self._without_its_own(self.counts.faults)

    @property
    def lost_again(self) -> int:
        """Those of them that a second try didn't mend. One whose first try the failing model answered was none."""
        return self._without_its_own(self.counts.faults_again)

    @property
    def lost_a_candidates_only_pod(self) -> bool:
        """Then what its share of the users met is the candidate's own failure, as it is judged."""
        return any(fault.leaves_nobody_to_ask_again for fault in self.release.faults)

    def _without_its_own(self, faults: Counter[str]) -> int:
        return sum(number for fault, number in faults.items() if self.release.is_good or OWN not in fault.split(THEN))

    @property
    def wrong(self) -> tuple[str, ...]:
        """In sentences."""
        said = [self.trouble] if self.trouble else []
        if not self.trouble and self.outcome not in self.release.outcomes:
            said.append(f"it ended {self.outcome}, and should have ended {' or '.join(self.release.outcomes)}")
        if self.lost and not any(fault.costs_requests for fault in self.release.faults):
            said.append(f"{self.lost} requests were lost, and nothing was killed that carried any")
        if self.lost_again and not self.lost_a_candidates_only_pod:
            said.append(f"{self.lost_again} requests were lost with their second try too")
        return tuple(said)


def try_out(bed: Bed, number: int, release: Release) -> Trial:
    """Never raises for what goes wrong in the cluster: that is the trial's `trouble`."""
    trial, began = Trial(number, release), time.monotonic()
    bed.found = []
    try:
        with bed.loaded():
            _release(bed, trial)
    except (ScenarioAborted, ClusterError, KubectlError, OSError) as error:
        trial.trouble = str(error)
    seen = result("chaos", bed.found, 0.0, "", "")
    trial.counts, trial.examples, trial.seconds = total(seen.kinds.values()), seen.examples, time.monotonic() - began
    return trial


def _release(bed: Bed, trial: Trial) -> None:
    phases = {fault.phase: fault for fault in trial.release.faults}

    def reached(phase: Phase) -> None:
        if fault := phases.get(phase):
            trial.struck.append(strike(bed, fault))
            _note(bed, trial, trial.struck[-1])

    reached(Phase.LIVE)
    back, before = bed.version, bed.sight.seen
    if trial.release.is_good:
        bed.release_next()
    else:
        bed.apply(FAILING)
    reached(Phase.STARTING)
    steps = WEIGHTS if trial.release.is_good else ((1, Phase.GOING_BACK),)
    for weight, phase in steps:
        if _has(bed, before, weight) is not None:
            break
        reached(phase)
    ended = _until(bed, "the rollout ends", lambda seen: seen.ended_since(before))
    trial.outcome = ended.outcome
    _note(bed, trial, f"{ended.outcome}: {ended.message}")
    if ended.outcome != "Promoted":
        bed.version = back
    bed.settled(seconds=ENDS_WITHIN)


def _has(bed: Bed, before: Seen, weight: int) -> Ended | None:
    """Waits until the candidate has so many percent, or its rollout has ended; how it ended, in this case."""

    def holds(seen: Seen) -> Ended | bool | None:
        has_it = seen.is_current and seen.candidate is not None and (seen.weight or 0) >= weight
        return seen.ended_since(before) or has_it

    found = _until(bed, f"the candidate has {weight} %, or has ended", holds)
    return found if isinstance(found, Ended) else None


def _until(bed: Bed, what: str, finds: Callable[[Seen], Found | None]) -> Found:
    found = finds(bed.until(what, lambda seen: bool(finds(seen)), seconds=ENDS_WITHIN))
    if not found:
        raise ScenarioAborted(f"{what}: it was so for a moment only")
    return found


def _note(bed: Bed, trial: Trial, what: str) -> None:
    seen = bed.sight.seen
    trial.lines.append(f"{time.strftime('%H:%M:%S')}  {what}  [{seen.phase}, {seen.weight} %: {seen.message}]")


def freshen(bed: Bed) -> None:
    """Pods whose containers would be started again only after a pause get successors, and all is ready afterwards."""
    operator = place.OPERATOR_PODS
    worn = {
        "operator": _worn(bed, operator, place.RELEASE_NAMESPACE),
        "router": _worn(bed, ROUTER, place.RELEASE_NAMESPACE),
        "prometheus": _worn(bed, PROMETHEUS, prometheus.NAMESPACE),
    }
    for pod in (*worn["operator"], *worn["router"]):
        bed.system("delete", "pod", pod, "--timeout=100s")
    for pod in worn["prometheus"]:
        bed.kubectl.run("--namespace", prometheus.NAMESPACE, "delete", "pod", pod, "--timeout=100s")
    bed.system("rollout", "status", "deployment/tidegate-operator", "--timeout=110s")
    routers_ready(bed)
    there = ("--namespace", prometheus.NAMESPACE)
    bed.kubectl.run(*there, "rollout", "status", f"deployment/{prometheus.NAME}", "--timeout=110s")


def _worn(bed: Bed, selector: str, namespace: str) -> list[str]:
    restarts = "{range .items[*]}{.metadata.name} {.status.containerStatuses[*].restartCount}{'\\n'}{end}"
    said = bed.kubectl.run(
        "--namespace", namespace, "get", "pods", "--selector", selector, "--output", f"jsonpath={restarts}"
    )
    counted = [line.split() for line in said.splitlines() if line.strip()]
    return [pod for pod, *counts in counted if any(int(count) > MOST_RESTARTS for count in counts)]


def transcript(bed: Bed, trial: Trial) -> str:
    """All that whoever looks into it would ask for."""
    parts = [
        *trial.wrong,
        "",
        *trial.lines,
        "",
        *map(str, trial.examples),
        "",
        bed.run("get", "modeldeployment", NAME, "--output", "yaml"),
        bed.run("get", "events", "--sort-by=.lastTimestamp"),
        bed.run("get", "pods", "--output", "wide"),
        bed.system("get", "pods", "--output", "wide"),
        bed.system("logs", "deployment/tidegate-operator", "--tail=200"),
    ]
    return "\n".join(parts) + "\n"
