"""One ModelDeployment of a test's own on a real cluster, under a real load of real images."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tidegate_demo import load
from tidegate_demo.kubectl import Kubectl, KubectlError
from tidegate_demo.load import RunningLoad
from tidegate_demo.models import Models
from tidegate_demo.records import Outcome, Request, outcome
from tidegate_demo.story import answers_by_revision
from tidegate_demo.traffic import Orders

CANARY: Mapping[str, Any] = {"canary": {"steps": [{"weight": 20}, {"weight": 50}]}}
BLUE_GREEN: Mapping[str, Any] = {"blueGreen": {"verifyFor": "5s", "keepOld": "15s"}}
# The tail of the latency belongs to the machine, which runs a whole Kubernetes beside the models.
# And the models are meant to answer otherwise: each is another classifier, and a better one is a surer one.
ANALYSIS = {
    "bake": "10s",
    "errorRate": {"accept": {"absolute": "1%"}},
    "latency": {"quantiles": [50, 90]},
    "predictions": {"onDrift": "Ignore"},
}


@dataclass
class Stage:
    """`namespace` is the test's own; `files` serves the demo's models to pods, `router` is the router's URL for us."""

    kubectl: Kubectl
    namespace: str
    models: Models
    files: str
    router: str
    folder: Path
    versions: dict[str, str] = field(default_factory=dict)
    traffic: Mapping[str, Any] | None = None
    """spec.traffic of what is applied; None where it isn't stated."""

    @property
    def host(self) -> str:
        """By which the model is asked for."""
        return f"digits.{self.namespace}"

    def apply(self, version: str, **spec: Any) -> None:
        """kubectl apply of a version of the digits model."""
        self.apply_model(self.model(version), **spec)

    def model(self, version: str) -> dict[str, str]:
        """Where pods find a version of the digits model, and its digest."""
        return {"uri": f"http://{self.files}/digits-{version}.onnx", "sha256": self.models.versions[version].sha256}

    def apply_model(self, model: Mapping[str, Any], **spec: Any) -> None:
        """kubectl apply of any model. What is None isn't stated."""
        usual = {"replicas": 2, "strategy": CANARY, "analysis": ANALYSIS, "traffic": self.traffic}
        whole = {**usual, **spec, "model": model}
        whole = {name: value for name, value in whole.items() if value is not None}
        manifest = {
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": "digits", "namespace": self.namespace},
            "spec": whole,
        }
        self.kubectl.apply(json.dumps(manifest))

    def go_live(self, version: str = "v1", **spec: Any) -> None:
        """The first revision, up to where `kubectl wait` says that it is ready."""
        self.apply(version, **spec)
        self.run("wait", "--for=condition=Ready", "--timeout=120s", "modeldeployment/digits")
        self.note()

    def run(self, *arguments: str) -> str:
        """kubectl in the test's namespace."""
        return self.kubectl.run("--namespace", self.namespace, *arguments)

    def read(self) -> dict[str, Any]:
        """The ModelDeployment as it is now."""
        body: dict[str, Any] = json.loads(self.run("get", "modeldeployment", "digits", "--output", "json"))
        return body

    def note(self) -> dict[str, Any]:
        """The status as it is now; keeps in mind which revision serves which version."""
        status: dict[str, Any] = self.read().get("status", {})
        for view in (status.get("stable"), status.get("candidate")):
            uri = (view or {}).get("model", {}).get("uri", "")
            if view and "digits-" in uri:
                self.versions[view["revision"]] = uri.rsplit("digits-", 1)[1].removesuffix(".onnx")
        return status

    def until(self, what: str, holds: Callable[[Mapping[str, Any]], bool], *, seconds: float = 180) -> dict[str, Any]:
        """Waits until the status is so; fails with what was seen instead."""
        deadline = time.monotonic() + seconds
        while True:
            status = self.note()
            if holds(status):
                return status
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds:.0f} s: {what}; seen: {json.dumps(status, indent=1)}")
            time.sleep(0.5)

    def until_ended(self, outcome: str, *, seconds: float = 180, rollouts: int = 1) -> dict[str, Any]:
        """Waits for the end of a rollout, and that it ended so."""
        status = self.until(f"a rollout {outcome}", lambda s: len(s.get("history", ())) >= rollouts, seconds=seconds)
        assert status["history"][0]["outcome"] == outcome, status["history"][0]
        return status

    def settled(self, *, seconds: float = 90) -> None:
        """Waits until only the stable revision's Deployment is left."""
        deadline = time.monotonic() + seconds
        while len(names := self.run("get", "deployments", "--output", "name").split()) > 1:
            assert time.monotonic() < deadline, f"these are left: {names}"
            time.sleep(0.5)

    def event_reasons(self) -> list[str]:
        """The reasons of all Events about the ModelDeployment."""
        about = "involvedObject.kind=ModelDeployment"
        return self.run("get", "events", "--field-selector", about, "--output", "jsonpath={.items[*].reason}").split()

    @contextmanager
    def loaded(self, rate: float = 100.0, seconds: float = 400, fresh_every: int = 0) -> Iterator[RunningLoad]:
        """An open-loop load of held-out images through the router, while inside, and for so long at most.

        Every `fresh_every`th request has a connection of its own; 0 for none.
        """
        images = self.folder / "held-out.json"
        load.write_images(images, self.models.images)
        router = urlsplit(self.router)
        orders = Orders(
            address=router.hostname or "",
            port=router.port or 80,
            host=self.host,
            path="/predict",
            images_file=str(images),
            records_file=str(self.folder / "requests.jsonl"),
            rate=rate,
            max_seconds=seconds,
            fresh_every=fresh_every,
        )
        running = load.start(orders)
        try:
            yield running
        finally:
            running.stop()

    def outcomes(self, requests: Iterable[Request]) -> dict[Outcome, list[Request]]:
        """What became of the requests of a load that has ended."""
        answers = answers_by_revision(self.models, self.versions)
        sorted_out: dict[Outcome, list[Request]] = {became: [] for became in Outcome}
        for request in requests:
            sorted_out[outcome(request, answers)].append(request)
        return sorted_out

    def nothing_lost(self, running: RunningLoad) -> dict[Outcome, list[Request]]:
        """Asserts that the machinery failed no request and that no answer is another model's."""
        outcomes = self.outcomes(running.requests)
        assert len(running.requests) > 100
        assert outcomes[Outcome.LOST] == []
        assert outcomes[Outcome.WRONG] == []
        return outcomes


def refused(kubectl: Kubectl, manifest: Mapping[str, Any]) -> str:
    """What kubectl says when it isn't let do it."""
    try:
        kubectl.apply(json.dumps(manifest))
    except KubectlError as error:
        return str(error)
    raise AssertionError("kubectl apply was let through")
