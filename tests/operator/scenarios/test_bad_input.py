"""What comes from registries and is wrong: no user meets it, one sentence says why, and stable goes on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.operator.disturbed import Disturbed
from tests.operator.scenarios.test_gates_in_rollouts import gate, world_with
from tests.operator.world import Behaviour
from tidegate.kube.api import Manifest
from tidegate.model.gate import GateAnswer
from tidegate.model.traffic import TrafficSplit

STABLE, CANDIDATE = "http://models/1", "http://models/2"


@dataclass(frozen=True)
class Bad:
    """What is wrong with a candidate; `container` is what its first container waits for."""

    fetch: Mapping[str, Any] | None = None
    container: Mapping[str, str] | None = None
    admission: str = ""


class Registries(Disturbed):
    """A world whose candidate's pods may find no image."""

    container: Mapping[str, str] | None = None
    candidate = ""

    def _pod_manifests(self) -> list[Manifest]:
        pods = super()._pod_manifests()
        if self.container is None:
            return pods
        waits = [{"name": "fetch", "ready": False, "state": {"waiting": dict(self.container)}}]
        status = {"initContainerStatuses": waits, "containerStatuses": []}
        waiting = f"{self.candidate}-0"
        return [{**pod, "status": status} if pod["metadata"]["name"] == waiting else pod for pod in pods]


def failed(reason: str, message: str, *, permanent: bool) -> Bad:
    return Bad(fetch={"reason": reason, "message": message, "permanent": permanent})


MANIFEST = "the manifest has the digest sha256:0a, and sha256:0b was asked for"
UNSIGNED = "the model isn't signed: there is no model.sig beside it, and TIDEGATE_SIGNATURE_* asks for one"
HALF = "the model's server has no such file (404); check model.uri"
DENIED = "admission webhook policy.sigstore.dev denied the request: no matching signatures"


@pytest.mark.parametrize(
    ("bad", "reason", "said"),
    [
        pytest.param(
            failed("Unreachable", "registry.example.com: Connection refused", permanent=False),
            "ProgressDeadlineExceeded",
            "registry.example.com: Connection refused",
            id="a registry that is away while the files are fetched",
        ),
        pytest.param(
            failed("WrongDigest", MANIFEST, permanent=True),
            "WrongDigest",
            MANIFEST,
            id="a registry that lies about a digest",
        ),
        pytest.param(
            failed("Unverified", UNSIGNED, permanent=True),
            "Unverified",
            UNSIGNED,
            id="an unsigned model where signatures are wanted",
        ),
        pytest.param(
            Bad(admission=DENIED),
            "ProgressDeadlineExceeded",
            DENIED,
            id="an unsigned image where signatures are wanted",
        ),
        pytest.param(
            failed("NotFound", HALF, permanent=False),
            "ProgressDeadlineExceeded",
            HALF,
            id="a half-published artifact",
        ),
        pytest.param(
            Bad(container={"reason": "ImagePullBackOff", "message": "blob sha256:0c: not found"}),
            "ProgressDeadlineExceeded",
            "blob sha256:0c: not found",
            id="a half-published image",
        ),
    ],
)
def test_no_user_meets_it_one_sentence_says_why_and_stable_goes_on(
    spec_schema: Mapping[str, Any], bad: Bad, reason: str, said: str
) -> None:
    starts = Behaviour(starts_after=None, fetch_failure=bad.fetch)
    world = Registries(spec_schema, {STABLE: Behaviour(), CANDIDATE: starts})
    spec = {"strategy": {"canary": {"steps": [{"weight": 50}]}}, "replicas": 2, "progressDeadline": "60s"}
    world.kubectl_apply(model={"uri": STABLE}, **spec)
    world.run(60)
    stable = world.status["stable"]["revision"]
    world.kubectl_apply(model={"uri": CANDIDATE}, **spec)
    world.run(1)
    world.candidate = world.status["candidate"]["revision"]
    world.container, world.quota_message = bad.container, bad.admission
    world.run(120)

    ended = world.status["history"][0]
    exposure = {"requests": 0, "failed": 0}
    assert (ended["outcome"], ended["reason"], ended["exposure"]) == ("RolledBack", reason, exposure)
    assert said in ended["message"]
    assert "\n" not in ended["message"]
    assert (world.split, world.lost, world.failed) == (TrafficSplit.only(stable), 0, 0)
    assert world.condition("Ready") == ("True", "StableServing")


def test_a_golden_set_of_another_shape_holds_the_rollout_without_traffic(spec_schema: Mapping[str, Any]) -> None:
    world = world_with(spec_schema, Behaviour(), gate("accuracy", "Start"))
    shape = 'golden.jsonl, line 7: "expected" has 2, and the answer 1 classes; give one for each row'
    world.says = {"accuracy": GateAnswer(None, shape)}
    world.run_with_answers(300)

    assert (world.status["traffic"]["candidate"], world.lost, world.failed) == (0, 0, 0)
    assert shape in world.status["message"]
    assert world.condition("Reconciling") == ("True", "GateFailed")
    assert world.condition("Ready") == ("True", "StableServing")
