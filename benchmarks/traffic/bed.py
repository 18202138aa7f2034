"""What the events happen to: one ModelDeployment under a steady load, and what may be done to it."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.errors import ScenarioAborted
from benchmarks.progress import Progress
from benchmarks.traffic.client import Orders
from tidegate_demo import place
from tidegate_demo.kubectl import Kubectl
from tidegate_demo.models import Models
from tidegate_demo.seen import Seen
from tidegate_demo.watch import Sight

NAMESPACE, NAME = "bench-traffic", "digits"
PODS = 2
LOOK_SECONDS = 0.1
WARM_UP_SECONDS = 4.0
REST_SECONDS = 4.0
CANARY: Mapping[str, Any] = {"canary": {"steps": [{"weight": 20}, {"weight": 50}]}}
BLUE_GREEN: Mapping[str, Any] = {"blueGreen": {"verifyFor": "3s", "keepOld": "10s"}}
# Which requests are lost is looked at here, and not how soon a judge decides: each of the models is a good one, and the
# tail of the latency belongs to a machine that runs a whole Kubernetes beside them.
ANALYSIS: Mapping[str, Any] = {
    "interval": "2s",
    "bake": "5s",
    "errorRate": {"tolerate": {"absolute": "5%"}, "accept": {"absolute": "20%"}, "ceiling": "50%"},
    "latency": {
        "quantiles": [50],
        "tolerate": "300%",
        "accept": "1000%",
        "negligible": "500ms",
        "onLoadDiffers": "Ignore",
    },
    "predictions": {"onDrift": "Ignore"},
}


@dataclass(frozen=True)
class Rates:
    """Requests a second: over kept connections, and with a new connection each."""

    kept: float
    new: float


@dataclass
class Bed:
    """`files` is `address:port` of the models as pods reach it, `router` the router's URL for the load."""

    kubectl: Kubectl
    models: Models
    files: str
    router: str
    sight: Sight
    progress: Progress
    rates: Rates
    version: str = "v2"
    release: int = 0
    images: int = 1
    """How many of the held-out images are sent in turn."""
    found: list[dict[str, Any]] = field(default_factory=list)
    """What the loads have told that have ended."""

    def apply(self, version: str, **spec: Any) -> None:
        """kubectl apply of another good model, as a revision that has never been there."""
        self.release += 1
        model = self.models.versions[version]
        whole = {
            "replicas": PODS,
            "rollbackWindow": "0s",
            "traffic": {"timeout": "90s"},
            "strategy": CANARY,
            "analysis": ANALYSIS,
            "model": {"uri": f"http://{self.files}/{model.path.name}", "sha256": model.sha256},
            "server": {"env": _variables(f"{int(time.monotonic())}-{self.release}")},
            **spec,
        }
        metadata = {"name": NAME, "namespace": NAMESPACE}
        manifest = {"apiVersion": "tidegate.dev/v1alpha1", "kind": "ModelDeployment", "metadata": metadata}
        self.version = version
        self.kubectl.apply(json.dumps({**manifest, "spec": whole}))

    def release_next(self, **spec: Any) -> Seen:
        """The next of the good models; what was seen before."""
        before = self.sight.seen
        self.apply({"v2": "v5", "v5": "v6", "v6": "v2"}[self.version], **spec)
        return before

    def run(self, *arguments: str) -> str:
        """kubectl in the model's namespace."""
        return self.kubectl.run("--namespace", NAMESPACE, *arguments)

    def patch(self, spec: Mapping[str, Any]) -> None:
        """Changes some fields of the spec."""
        self.run("patch", "modeldeployment", NAME, "--type=merge", "--patch", json.dumps({"spec": spec}))

    def until(self, what: str, holds: Callable[[Seen], bool], *, seconds: float = 120) -> Seen:
        """Waits until it is so. Raises ScenarioAborted with what was seen instead."""
        deadline = time.monotonic() + seconds
        while not holds(seen := self.sight.seen):
            if time.monotonic() > deadline:
                raise ScenarioAborted(f"not within {seconds:.0f} s: {what}; {seen.phase}: {seen.message}")
            time.sleep(LOOK_SECONDS)
        return seen

    def until_weight(self, weight: int) -> Seen:
        """Waits until there is a candidate that has at least so many percent."""
        what = f"the candidate has {weight} %"
        return self.until(what, lambda seen: seen.is_current and seen.candidate is not None and _at(seen) >= weight)

    def until_ready(self, pods: int) -> None:
        """Waits until so many pods of the stable revision are ready, and no more."""
        self.until(f"{pods} pods are ready", lambda seen: seen.stable is not None and seen.stable.ready == pods)

    def until_ended(self, before: Seen, outcome: str, *, seconds: float = 180) -> None:
        """Waits for the end of a rollout. Raises ScenarioAborted where it is another one."""
        seen = self.until(f"a rollout {outcome}", lambda seen: seen.ended_since(before) is not None, seconds=seconds)
        ended = seen.ended_since(before)
        if ended is None or ended.outcome != outcome:
            raise ScenarioAborted(f"expected {outcome}, seen {ended}")

    def settled(self, *, seconds: float = 120) -> None:
        """Waits until one revision is left, and its pods are ready."""
        deadline = time.monotonic() + seconds
        while len(names := self.run("get", "deployments", "--output", "name").split()) > 1 or not self._is_calm():
            if time.monotonic() > deadline:
                raise ScenarioAborted(f"these are left: {names}")
            time.sleep(0.5)

    def _is_calm(self) -> bool:
        seen = self.sight.seen
        return seen.is_current and seen.phase in ("Live", "RolledBack") and seen.ready

    def pods(self, selector: str, namespace: str = NAMESPACE) -> list[str]:
        """The names of pods that aren't about to go."""
        said = self.kubectl.run("--namespace", namespace, "get", "pods", "--selector", selector, "--output", "json")
        return [
            each["metadata"]["name"]
            for each in json.loads(said)["items"]
            if "deletionTimestamp" not in each["metadata"]
        ]

    def system(self, *arguments: str) -> str:
        """kubectl in Tidegate's own namespace."""
        return self.kubectl.run("--namespace", place.RELEASE_NAMESPACE, *arguments)

    @contextmanager
    def loaded(self) -> Iterator[None]:
        """The load, from a while before to a while after."""
        with tempfile.TemporaryDirectory() as folder:
            bodies = Path(folder, "bodies.jsonl")
            bodies.write_text("".join(f"{_body(image)}\n" for image in self.models.images[: self.images]))
            router = urlsplit(self.router)
            orders = Orders(
                address=router.hostname or "",
                port=router.port or 80,
                host=f"{NAME}.{NAMESPACE}",
                path="/predict",
                bodies_file=str(bodies),
                kept=self.rates.kept,
                new=self.rates.new,
            )
            command = [sys.executable, "-m", "benchmarks.traffic.client", orders.text]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
                time.sleep(WARM_UP_SECONDS)
                try:
                    yield
                    time.sleep(REST_SECONDS)
                finally:
                    said, _ = process.communicate()  # closes its stdin, by which it ends
                    self.found.append(json.loads(said))


def _body(image: Iterable[Any]) -> str:
    return json.dumps({"inputs": [[int(pixel) for pixel in image]]})


def _at(seen: Seen) -> int:
    return seen.weight or 0


def _variables(release: str) -> list[dict[str, str]]:
    """One makes the release a revision of its own, the others allow requests that take a minute."""
    values = {"RELEASE": release, "TIDEGATE_REQUEST_SECONDS": "90", "TIDEGATE_BODY_TIMEOUT_SECONDS": "90"}
    return [{"name": name, "value": value} for name, value in values.items()]
