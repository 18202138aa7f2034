"""Two models behind a Gateway without Tidegate's operator, and the route between them that somebody edits."""

import json
import time
from collections.abc import Mapping, Sequence

import yaml

from tests.e2e.stage import Stage
from tests.gateways import plain

OLD, NEW = "v2", "v5"
PAUSE_SECONDS = 1.0
Weights = Sequence[tuple[str, int]]
AT_FIRST: Weights = ((OLD, 100), (NEW, 0))


class BareRoute:
    """In the namespace of `stage`, at the Gateway that `parent` refers to; all pods are ready when it is made."""

    def __init__(self, stage: Stage, parent: Mapping[str, str], image: str) -> None:
        self.stage, self._parent = stage, parent
        manifests = [self._route(*AT_FIRST)]
        for version in (OLD, NEW):
            model = stage.model(version)
            manifests += [plain.deployment(stage.namespace, version, image, model)]
            manifests += [plain.service(stage.namespace, version)]
            stage.versions[f"{version}-{version}"] = version
        stage.kubectl.apply(yaml.safe_dump_all(manifests))

    def begin(self) -> None:
        """Returns when all pods are ready and the old model has all requests."""
        for version in (OLD, NEW):
            self.until_ready(version)
        self.split(*AT_FIRST)

    def split(self, *weights: tuple[str, int]) -> None:
        """Edits the route."""
        self.stage.kubectl.apply(json.dumps(self._route(*weights)))

    def splits(self, *splits: Weights, pause: float = PAUSE_SECONDS) -> None:
        """Edits it once and again."""
        for weights in splits:
            self.split(*weights)
            time.sleep(pause)

    def until_ready(self, version: str) -> None:
        """All of its pods."""
        self.stage.run("rollout", "status", f"deployment/{version}", "--timeout=120s")

    def delete_pods(self, version: str) -> None:
        """One after the other, each once the others are ready."""
        pods = self.stage.run("get", "pods", "--selector", f"app={version}", "--output", "name").split()
        for pod in pods:
            self.stage.run("delete", pod, "--wait=false")
            time.sleep(PAUSE_SECONDS)
            self.until_ready(version)

    def _route(self, *weights: tuple[str, int]) -> dict[str, object]:
        return plain.route(self.stage.namespace, self.stage.host, self._parent, weights)
