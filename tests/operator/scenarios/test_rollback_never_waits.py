"""Nothing that isn't needed for a rollback stands before it, and no traffic goes where no ready pod is."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.disturbed import Disturbed
from tests.operator.world import Behaviour, World
from tidegate.kube.api import DEPLOYMENTS

CANARY = {"canary": {"steps": [{"weight": 50, "minDuration": "10m"}]}}
MODELS = {
    "http://models/1": Behaviour(),
    "http://models/2": Behaviour(),
    "http://models/failing": Behaviour(error_rate=0.9),
    "http://models/late-failing": Behaviour(),
}


class PodMonitored(World):
    """Its Prometheus names jobs as the Prometheus Operator does: NAMESPACE/NAME."""

    def labels(self, revision: str, measure: str) -> dict[str, str]:
        found = super().labels(revision, measure)
        return {**found, "job": "monitoring/tidegate", "pod": found["instance"]}


def test_a_slash_in_a_scrape_label_hides_nothing(spec_schema: Mapping[str, Any]) -> None:
    world = PodMonitored(spec_schema, {**MODELS, "http://models/dead": Behaviour(error_rate=1.0)})
    release(world, "http://models/1")
    world.run(60)
    stable = world.status["stable"]["revision"]
    release(world, "http://models/dead")
    world.run(120)

    assert world.status["history"][0]["outcome"] == "RolledBack"
    assert world.split is not None
    assert world.split.weight(stable) == 100


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> Disturbed:
    """v1 live for a while on four pods."""
    world = Disturbed(spec_schema, MODELS)
    release(world, "http://models/1")
    world.run(60)
    return world


def release(world: World, uri: str, **fields: Any) -> None:
    world.kubectl_apply(model={"uri": uri}, strategy=CANARY, **{"replicas": 4, **fields})


def test_a_rollback_does_not_wait_for_a_write_of_pods(world: Disturbed) -> None:
    stable = world.status["stable"]["revision"]
    release(world, "http://models/failing")
    world.run(8)
    release(world, "http://models/failing", replicas=5)
    world.deployments_are_refused = True
    world.run(60)

    assert world.split is not None
    assert world.split.weight(stable) == 100


def test_traffic_stays_where_it_is_answered_while_stable_has_no_pod(world: Disturbed) -> None:
    stable = world.status["stable"]["revision"]
    release(world, "http://models/2")
    world.run(60)
    candidate = world.status["candidate"]["revision"]
    world.models = {**world.models, "http://models/2": Behaviour(error_rate=0.3)}
    world.dead = stable
    world.run(120)

    assert world.split is not None
    assert world.split.weight(candidate) == 50
    assert world.condition("Stalled") == ("True", "NoReadyPod")
    assert candidate in world.names(DEPLOYMENTS)

    world.dead = ""
    world.run(60)
    assert world.split.weight(stable) == 100
    assert world.status["history"][0]["outcome"] == "RolledBack"


def test_a_lost_status_is_no_promotion(world: Disturbed) -> None:
    stable = world.status["stable"]["revision"]
    release(world, "http://models/failing")
    world.run(5)
    assert world._deployment is not None
    world._deployment["status"] = {}
    world.restart()
    world.run(5)

    assert world.status["stable"]["revision"] == stable
    assert any("event StableAdopted" in line for line in world.transcript)

    world.run(300)
    assert world.split is not None
    assert world.split.weight(stable) == 100
    assert world.status["history"][0]["outcome"] == "RolledBack"
    assert stable in world.names(DEPLOYMENTS)


def test_a_revision_that_was_rejected_before_the_status_was_lost_is_judged_again(world: Disturbed) -> None:
    stable = world.status["stable"]["revision"]
    release(world, "http://models/failing")
    world.run(120)
    assert world.status["phase"] == "RolledBack"
    assert world._deployment is not None
    world._deployment["status"] = {}
    world.restart()
    world.run(200)

    assert world.status["stable"]["revision"] == stable
    assert world.status["history"][0]["outcome"] == "RolledBack"
