"""Whole rollouts in a simulated world, told as transcripts that a person can review.

`make golden` writes them anew; the difference is then part of the change.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.operator.world import Behaviour, Crash, World
from tidegate.kube.api import CONFIG_MAPS, CONTROLLER_REVISIONS, DEPLOYMENTS

GOLDEN = Path(__file__).parent / "golden"
SELFTEST = {"reason": "SelftestFailed", "message": "case 2 gave 0.3, not 0.7; export it anew", "permanent": True}
NO_KEYS = {"reason": "BadSetting", "message": "TIDEGATE_API_KEYS_FILE can't be read; see that the Secret is there"}
UNSIGNED = (
    "model.signedBy: sha256:1 isn't signed, its registry has no signature by cosign; sign it with cosign sign --key"
)
MODELS = {
    "http://models/1": Behaviour(),
    "http://models/2": Behaviour(),
    "http://models/3": Behaviour(),
    "http://models/failing": Behaviour(error_rate=0.2),
    "http://models/slow": Behaviour(latency=0.104),
    "http://models/crashing": Behaviour(starts_after=None),
    "http://models/wrong-digest": Behaviour(
        starts_after=None,
        fetch_failure={"reason": "WrongDigest", "message": "the digest is ab12, cd34 was asked for", "permanent": True},
    ),
    "oci://models/unsigned@sha256:1": Behaviour(
        starts_after=None, fetch_failure={"reason": "Unverified", "message": UNSIGNED, "permanent": True}
    ),
    "http://models/refused": Behaviour(starts_after=None, serve_failure=SELFTEST),
    "http://models/without-keys": Behaviour(starts_after=None, serve_failure=NO_KEYS),
    "http://models/of-files": Behaviour(files_sha256="cd" * 32),
    "http://models/other-inputs": Behaviour(
        signature={"inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}], "outputs": []}
    ),
}
CANARY = {"canary": {"steps": [{"weight": 10}, {"weight": 25}, {"weight": 50}]}}
BLUE_GREEN = {"blueGreen": {"verifyFor": "10s", "keepOld": "30s"}}


def model(name: str, **more: Any) -> dict[str, Any]:
    return {"model": {"uri": f"http://models/{name}"}, "strategy": CANARY, "replicas": 2, **more}


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> World:
    world = World(spec_schema, MODELS)
    world.kubectl_apply(**model("1"))
    world.run(60)
    return world


def told(world: World, name: str) -> None:
    """Compares the transcript with the golden one, or writes it."""
    path = GOLDEN / f"{name}.txt"
    text = "\n".join(world.transcript) + "\n"
    if os.environ.get("TIDEGATE_WRITE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def test_an_acceptable_model_is_promoted_step_by_step(world: World) -> None:
    world.kubectl_apply(**model("2"))
    world.run(400)

    told(world, "canary-promotes")
    assert world.status["history"][0]["outcome"] == "Promoted"
    assert world.names(DEPLOYMENTS) == [world.status["stable"]["revision"]]
    assert world.condition("Ready") == ("True", "StableServing")
    assert world.lost == 0


def test_a_failing_model_is_rolled_back_within_15_seconds(world: World) -> None:
    stable = world.status["stable"]["revision"]
    world.kubectl_apply(**model("failing"))
    world.run(120)

    told(world, "failing-model-rolls-back")
    assert world.status["stable"]["revision"] == stable
    assert world.condition("Stalled") == ("True", "ErrorRateWorse")
    assert world.names(DEPLOYMENTS) == [stable]
    assert len(world.names(CONTROLLER_REVISIONS)) == 2


def test_a_rejected_model_is_not_tried_again_until_the_spec_changes(world: World) -> None:
    world.kubectl_apply(**model("failing"))
    world.run(120)
    history = world.status["history"]
    world.kubectl_apply(**model("failing", replicas=3))
    world.run(120)

    assert world.status["history"] == history

    world.kubectl_apply(**model("failing", strategy={"canary": {"steps": [{"weight": 5}]}}))
    world.run(120)

    assert len(world.status["history"]) == len(history) + 1


def test_a_slow_model_is_rolled_back_on_latency(world: World) -> None:
    world.kubectl_apply(**model("slow"))
    world.run(120)

    told(world, "slow-model-rolls-back")
    assert world.condition("Stalled") == ("True", "LatencyWorse")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("crashing", "ProgressDeadlineExceeded", id="pods that never get ready"),
        pytest.param("wrong-digest", "WrongDigest", id="a digest that is wrong"),
        pytest.param("other-inputs", "SignatureChanged", id="inputs that differ from stable's"),
        pytest.param("refused", "SelftestFailed", id="a model that its server refuses"),
        pytest.param("without-keys", "ProgressDeadlineExceeded", id="a server that can't start yet"),
    ],
)
def test_traffic_never_sees(world: World, name: str, reason: str) -> None:
    world.kubectl_apply(**model(name, progressDeadline="60s"))
    world.run(90)

    assert not [line for line in world.transcript if "=100" not in line and " route " in line]
    assert world.condition("Stalled") == ("True", reason)
    assert world.condition("Ready") == ("True", "StableServing")
    assert world.lost == 0


def test_an_unsigned_model_is_stopped_before_traffic_and_stable_goes_on(world: World) -> None:
    stable = world.status["stable"]["revision"]
    unsigned = {"uri": "oci://models/unsigned@sha256:1", "signedBy": {"secret": "signers"}}
    world.kubectl_apply(**model("1", model=unsigned))
    world.run(60)

    assert not [line for line in world.transcript if "=100" not in line and " route " in line]
    assert (world.condition("Stalled"), world.condition("Ready")) == (
        ("True", "Unverified"),
        ("True", "StableServing"),
    )
    (ended, *_) = world.status["history"]
    assert (ended["outcome"], UNSIGNED in ended["message"]) == ("RolledBack", True)
    assert (world.status["stable"]["revision"], world.names(DEPLOYMENTS), world.lost) == (stable, [stable], 0)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("wrong-digest", "the digest is ab12, cd34 was asked for", id="the one that fetches"),
        pytest.param("refused", SELFTEST["message"], id="the server, for good"),
        pytest.param("without-keys", NO_KEYS["message"], id="the server, for now"),
    ],
)
def test_the_history_has_the_sentence_of(world: World, name: str, said: str) -> None:
    world.kubectl_apply(**model(name, progressDeadline="60s"))
    world.run(90)

    assert world.status["history"][0]["message"].endswith(said)


@pytest.mark.parametrize(
    ("name", "condition", "reason"),
    [
        pytest.param("refused", "Stalled", "SelftestFailed", id="for good: it is stuck"),
        pytest.param("without-keys", "Reconciling", "BadSetting", id="for now: it goes on"),
    ],
)
def test_a_first_revision_whose_server_ends(
    spec_schema: Mapping[str, Any], name: str, condition: str, reason: str
) -> None:
    world = World(spec_schema, MODELS)
    world.kubectl_apply(**model(name))
    world.run(30)

    assert world.condition(condition) == ("True", reason)
    assert world.condition("Ready") == ("False", reason)
    assert world.status["message"].endswith(str((MODELS[f"http://models/{name}"].serve_failure or {})["message"]))


def test_a_stable_revision_whose_pods_end_says_why(spec_schema: Mapping[str, Any]) -> None:
    models = dict(MODELS)
    world = World(spec_schema, models)
    world.kubectl_apply(**model("1"))
    world.run(30)
    models["http://models/1"] = MODELS["http://models/without-keys"]
    world.run(30)

    assert world.condition("Ready") == ("False", "NoPodsReady")
    assert world.status["message"] == f"digits-3f66ca51 has no pod ready: {NO_KEYS['message']}"


@pytest.mark.parametrize(
    "digest",
    [
        pytest.param({}, id="the user gave no digest"),
        pytest.param({"sha256": "ab" * 32}, id="the user gave the ONNX file's"),
    ],
)
def test_all_files_of_a_model_are_pinned_where(world: World, digest: Mapping[str, str]) -> None:
    world.kubectl_apply(**{**model("1"), "model": {"uri": "http://models/of-files", **digest}})
    world.run(10)

    assert world.pin(world.status["candidate"]["revision"]) == {"sha256": "ab" * 32, "files_sha256": "cd" * 32}


def test_a_single_file_with_the_users_digest_needs_no_pin(world: World) -> None:
    world.kubectl_apply(**{**model("2"), "model": {"uri": "http://models/2", "sha256": "ab" * 32}})
    world.run(10)

    assert world.names(CONFIG_MAPS) == ["digits-3f66ca51"]


def test_blue_green_switches_once_and_retires_the_old(world: World) -> None:
    world.kubectl_apply(**model("2", strategy=BLUE_GREEN))
    world.run(120)

    told(world, "blue-green-switches")
    assert world.status["history"][0]["outcome"] == "Promoted"
    assert world.lost == 0


def test_blue_green_returns_when_the_new_one_fails(world: World) -> None:
    world.kubectl_apply(**model("failing", strategy=BLUE_GREEN))
    world.run(120)

    told(world, "blue-green-returns")
    assert world.condition("Stalled") == ("True", "ErrorRateWorse")


def test_no_traffic_neither_promotes_nor_rolls_back(spec_schema: Mapping[str, Any]) -> None:
    world = World(spec_schema, MODELS, rps=0)
    world.kubectl_apply(**model("1"))
    world.run(30)
    world.kubectl_apply(**model("2"))
    world.run(600)

    assert world.status["rollout"]["step"] == 1
    assert world.status["analysis"]["reason"] == "NoRequests"


def test_prometheus_away_holds_and_then_goes_on(world: World) -> None:
    world.kubectl_apply(**model("2"))
    world.run(30)
    world.prometheus_up = False
    world.run(60)

    assert world.status["analysis"]["verdict"] == "CannotSee"
    assert world.status["rollout"]["step"] == 1

    world.prometheus_up = True
    world.run(400)

    told(world, "prometheus-away")
    assert world.status["history"][0]["outcome"] == "Promoted"


def test_without_prometheus_a_candidate_gets_no_traffic(world: World) -> None:
    world.prometheus_up = False
    world.kubectl_apply(**model("2"))
    world.run(60)

    assert world.status["traffic"]["candidate"] == 0
    assert world.condition("Reconciling") == ("True", "MetricsUnavailable")
    assert "Prometheus at http://prometheus can't be reached" in world.status["message"]


def test_a_newer_spec_supersedes_a_rollout(world: World) -> None:
    world.kubectl_apply(**model("2"))
    world.run(30)
    world.kubectl_apply(**model("3"))
    world.run(30)

    told(world, "newer-spec-supersedes")
    assert world.status["history"][0]["outcome"] == "Superseded"
    assert world.lost == 0


def test_applying_the_stable_spec_ends_a_rollout_at_once(world: World) -> None:
    stable = world.status["stable"]["revision"]
    world.kubectl_apply(**model("2"))
    world.run(30)
    world.kubectl_apply(**model("1"))
    world.run(2)

    assert world.split is not None
    assert dict(world.split) == {stable: 100}
    world.run(30)
    assert world.names(DEPLOYMENTS) == [stable]
    assert world.status["history"][0]["outcome"] == "Aborted"


def test_a_paused_rollout_takes_no_step(world: World) -> None:
    world.kubectl_apply(**model("2", paused=True))
    world.run(300)

    assert world.status["rollout"]["step"] == 0
    assert world.condition("Reconciling") == ("True", "Paused")


def test_applying_the_same_spec_again_writes_nothing(world: World) -> None:
    before = list(world.transcript)
    world.kubectl_apply(**model("1"))
    world.run(30)

    assert world.transcript == [*before, "  60 s  apply http://models/1"]


def test_the_users_own_deadline_rolls_back_for_good_even_if_the_operator_dies_on_the_way(
    spec_schema: Mapping[str, Any],
) -> None:
    world = World(spec_schema, MODELS, rps=5)
    analysis = {"deadline": "60s", "onInconclusive": "Rollback"}
    world.kubectl_apply(**model("1"))
    world.run(60)
    world.kubectl_apply(**model("2", analysis=analysis))
    world.run(62)
    with world.crashing_at(1, after=True), pytest.raises(Crash):
        world.run(30)
    world.restart()
    routes = len([line for line in world.transcript if "  route " in line])
    world.run(60)

    assert len([line for line in world.transcript if "  route " in line]) == routes
    assert world.condition("Stalled") == ("True", "DeadlineExceeded")


def test_a_paused_rollout_is_not_promoted_by_its_deadline(spec_schema: Mapping[str, Any]) -> None:
    world = World(spec_schema, MODELS, rps=5)
    analysis = {"deadline": "60s", "onInconclusive": "Promote"}
    world.kubectl_apply(**model("1"))
    world.run(60)
    world.kubectl_apply(**model("2", analysis=analysis))
    world.run(30)
    world.kubectl_apply(**model("2", analysis=analysis, paused=True))
    world.run(120)

    assert world.status["rollout"]["step"] == 1

    world.kubectl_apply(**model("2", analysis=analysis))
    world.run(120)

    # Its deadline gave it all traffic, and with that it has shown what it does.
    assert world.status["history"][0]["reason"] == "EvidenceAcceptable"


def test_a_new_timeout_reaches_the_routers_without_a_rollout(world: World) -> None:
    world.kubectl_apply(**model("1", traffic={"timeout": "90s"}))
    world.run(10)

    assert world.route_timeout == 90
    assert world.transcript[-1].endswith("route digits-3f66ca51=100")


def test_where_there_is_only_stable_prometheus_is_not_asked(world: World) -> None:
    world.prometheus_asked = 0
    world.reconcile()

    assert world.prometheus_asked == 0
