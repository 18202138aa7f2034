"""What each implementation loses by itself, when somebody edits a bare HTTPRoute and Tidegate has no part in it."""

import json
import time
from collections.abc import Callable, Sequence

import pytest
import yaml

from tests.gateways import plain
from tests.gateways.gateway import Gateway
from tests.gateways.trial import BARE, Trial
from tidegate_demo.cluster.contexts import DemoCluster

pytestmark = pytest.mark.gateways

OLD, NEW = "v2", "v5"
PAUSE_SECONDS = 1.0
AWAY_SECONDS = 5.0
Weights = Sequence[tuple[str, int]]


class Plain:
    """Two models behind a Gateway, and the route between them."""

    def __init__(self, trial: Trial, image: str) -> None:
        self._trial, self._stage = trial, trial.stage
        manifests = [self._route((OLD, 100), (NEW, 0))]
        for version in (OLD, NEW):
            model = self._stage.model(version)
            manifests += [plain.deployment(self._stage.namespace, version, image, model)]
            manifests += [plain.service(self._stage.namespace, version)]
            self._stage.versions[f"{version}-{version}"] = version
        self._stage.kubectl.apply(yaml.safe_dump_all(manifests))
        for version in (OLD, NEW):
            self.until_ready(version)

    def split(self, *weights: tuple[str, int]) -> None:
        """Edits the route."""
        self._stage.kubectl.apply(json.dumps(self._route(*weights)))

    def splits(self, *splits: Weights, pause: float = PAUSE_SECONDS) -> None:
        """Edits it once and again."""
        for weights in splits:
            self.split(*weights)
            time.sleep(pause)

    def until_ready(self, version: str) -> None:
        """All of its pods."""
        self._stage.run("rollout", "status", f"deployment/{version}", "--timeout=120s")

    def delete_pods(self, version: str) -> None:
        """One after the other, each once the others are ready."""
        pods = self._stage.run("get", "pods", "--selector", f"app={version}", "--output", "name").split()
        for pod in pods:
            self._stage.run("delete", pod, "--wait=false")
            time.sleep(PAUSE_SECONDS)
            self.until_ready(version)

    def _route(self, *weights: tuple[str, int]) -> dict[str, object]:
        stage = self._stage
        return plain.route(stage.namespace, stage.host, self._trial.gateway.parent_ref, weights)


def steps_there_and_back(models: Plain, gateway: Gateway) -> None:
    """As a canary's, both backends in the list all the time."""
    steps = [((OLD, 100 - weight), (NEW, weight)) for weight in (20, 50, 100)]
    models.splits(*steps, *reversed(steps), ((OLD, 100), (NEW, 0)))


def all_at_once_and_back(models: Plain, gateway: Gateway) -> None:
    """As blue-green does."""
    models.splits(*[((OLD, 0), (NEW, 100)), ((OLD, 100), (NEW, 0))] * 4)


def taken_out_and_put_in(models: Plain, gateway: Gateway) -> None:
    """The new backend isn't in the list, or is at half."""
    models.splits(*[((OLD, 100),), ((OLD, 50), (NEW, 50))] * 10, pause=0.3)


def controller_killed(models: Plain, gateway: Gateway) -> None:
    """In the middle of a shift, and the route edited while it is away."""
    models.splits(((OLD, 50), (NEW, 50)))
    gateway.controller.kill()
    models.split((OLD, 0), (NEW, 100))
    time.sleep(AWAY_SECONDS)
    gateway.controller.start()
    time.sleep(AWAY_SECONDS)


def pods_deleted(models: Plain, gateway: Gateway) -> None:
    """Each in turn, at half."""
    models.splits(((OLD, 50), (NEW, 50)))
    models.delete_pods(OLD)
    models.delete_pods(NEW)


Event = Callable[[Plain, Gateway], None]


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(event, id=event.__name__.replace("_", " "))
        for event in (
            steps_there_and_back,
            all_at_once_and_back,
            taken_out_and_put_in,
            controller_killed,
            pods_deleted,
        )
    ],
)
@pytest.mark.gateways(BARE)
def test_a_bare_route(trial: Trial, gateway: Gateway, cluster: DemoCluster, event: Event) -> None:
    models = Plain(trial, f"{cluster.image_prefix}server:demo")
    trial.answers()
    with trial.loaded():
        event(models, gateway)
        trial.over = True

    assert len(trial.requests) > 500
    assert any(request.status == 200 for request in trial.requests)
