"""The HorizontalPodAutoscaler's formula on the load per pod, through the scale subresource of a ModelDeployment.

A cluster without a metrics server has no autoscaler that works. What a pod's usage would be is computed from the
answers: those of a revision, shared out over its ready pods.
"""

import json
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.stage import Stage
from tidegate_demo.load import RunningLoad

LOOK_SECONDS = 3.0
RATE_SECONDS = 6.0
STABILISATION_SECONDS = 15.0
"""How long the highest wish counts before pods are taken away. The default of 300 s is longer than a trial."""
TOLERANCE = 0.1


@dataclass(frozen=True)
class Autoscaler:
    """`capacity` is the requests a second at which a pod is fully used, `target` the share of it that is wanted."""

    capacity: float = 45.0
    target: float = 0.7
    least: int = 2
    most: int = 12

    def wish(self, pods: int, rate: float) -> int:
        """Replicas for these pods, which the scale subresource's selector matches, and their requests a second."""
        if pods == 0:
            return self.least
        ratio = rate / pods / self.capacity / self.target
        wished = pods if abs(ratio - 1) <= TOLERANCE else math.ceil(pods * ratio)
        return max(self.least, min(self.most, wished))


@dataclass
class Scaling:
    """What an autoscaler did: the replicas that it set, one after the other, and the fewest ready pods in sight."""

    set: list[int] = field(default_factory=list)
    fewest_ready: int | None = None


@contextmanager
def autoscaling(stage: Stage, load: RunningLoad, autoscaler: Autoscaler) -> Iterator[Scaling]:
    """Scales every few seconds while inside."""
    done, over = Scaling(), threading.Event()

    def scale() -> None:
        wishes: deque[tuple[float, int]] = deque()
        while not over.wait(LOOK_SECONDS):
            _scale_once(stage, load, autoscaler, wishes, done)

    thread = threading.Thread(target=scale, daemon=True)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join()


def _scale_once(
    stage: Stage, load: RunningLoad, autoscaler: Autoscaler, wishes: deque[tuple[float, int]], done: Scaling
) -> None:
    scale = _scale(stage)
    pods = _ready_pods(stage, scale["status"]["selector"])
    rates = _rates(load)
    rate = sum(rates.get(revision, 0.0) for revision in pods)
    now, wish = time.monotonic(), autoscaler.wish(sum(pods.values()), rate)
    wishes.append((now, wish))
    while wishes[0][0] < now - STABILISATION_SECONDS:
        wishes.popleft()
    wished = max(each for _, each in wishes)
    ready = sum(_ready_pods(stage, "tidegate.dev/model-deployment=digits").values())
    done.fewest_ready = ready if done.fewest_ready is None else min(ready, done.fewest_ready)
    if wished != scale["spec"]["replicas"]:
        stage.run("scale", "modeldeployment/digits", f"--replicas={wished}")
        done.set.append(wished)


def _scale(stage: Stage) -> dict[str, Any]:
    path = f"/apis/tidegate.dev/v1alpha1/namespaces/{stage.namespace}/modeldeployments/digits/scale"
    scale: dict[str, Any] = json.loads(stage.kubectl.run("get", "--raw", path))
    return scale


def _ready_pods(stage: Stage, selector: str) -> Counter[str]:
    """How many pods of each revision the selector matches, of those that are ready."""
    pods = json.loads(stage.run("get", "pods", "--selector", selector, "--output", "json"))["items"]
    return Counter(pod["metadata"]["labels"]["tidegate.dev/revision"] for pod in pods if _is_ready(pod))


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _rates(load: RunningLoad) -> dict[str, float]:
    """Answers a second of each revision, lately."""
    load.read_more()
    newest = max((request.answered for request in load.requests[-500:]), default=0.0)
    lately = [request for request in load.requests[-3000:] if request.answered > newest - RATE_SECONDS]
    counted = Counter(request.revision for request in lately)
    return {revision: count / RATE_SECONDS for revision, count in counted.items()}
