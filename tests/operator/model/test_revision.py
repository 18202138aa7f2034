"""Names of revisions, and what makes two models unlike for their clients."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tidegate.model.revision import (
    ModelFacts,
    Snapshot,
    Tensor,
    incompatibility,
    plan_digest,
    revision_name,
)
from tidegate.model.spec import Batching, Model, ModelDeploymentSpec, Server

ASpec = Callable[..., ModelDeploymentSpec]


def test_a_name_is_the_model_deployments_and_eight_digits(a_spec: ASpec) -> None:
    # Written out: another name would re-roll everybody's models with an upgrade of the operator.
    assert revision_name("digits", a_spec()) == "digits-a9620972"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"replicas": 7}, id="replicas"),
        pytest.param({"strategy": {"blueGreen": {}}}, id="the strategy"),
        pytest.param({"analysis": {"deadline": "2h"}}, id="the analysis"),
        pytest.param({"paused": True}, id="a pause"),
        pytest.param({"traffic": {"timeout": "5s"}}, id="the timeout"),
        pytest.param({"revisionHistoryLimit": 1}, id="the history's limit"),
    ],
)
def test_the_name_stays_under_a_change_of(change: dict[str, Any], a_spec: ASpec) -> None:
    assert revision_name("digits", a_spec(**change)) == revision_name("digits", a_spec())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"model": {"uri": "http://models/2.onnx"}}, id="the model's address"),
        pytest.param({"model": {"uri": "http://models/1.onnx", "sha256": "ab" * 32}}, id="the model's digest"),
        pytest.param({"server": {"image": "other:1"}}, id="the server's image"),
        pytest.param({"server": {"env": [{"name": "A", "value": "b"}]}}, id="a variable"),
        pytest.param({"server": {"resources": {"limits": {"memory": "2Gi"}}}}, id="the resources"),
        pytest.param({"server": {"threads": 2}}, id="the threads"),
        pytest.param({"server": {"batching": {"maxRows": 1}}}, id="a batch's rows"),
        pytest.param({"server": {"batching": {"maxDelay": "0ms"}}}, id="a batch's delay"),
        pytest.param({"server": {"auth": {"apiKeysSecret": "clients"}}}, id="the API keys"),
        pytest.param({"model": {"uri": "http://models/1.onnx", "credentialsSecret": "a"}}, id="the credentials"),
        pytest.param(
            {"model": {"uri": "http://models/1.onnx", "fetchEnv": [{"name": "A", "value": "b"}]}},
            id="a variable for fetching",
        ),
    ],
)
def test_the_name_changes_with(change: dict[str, Any], a_spec: ASpec) -> None:
    assert revision_name("digits", a_spec(**change)) != revision_name("digits", a_spec())


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        pytest.param({"strategy": {"blueGreen": {}}}, True, id="the strategy: yes"),
        pytest.param({"analysis": {"deadline": "2h"}}, True, id="the analysis: yes"),
        pytest.param({"replicas": 7}, False, id="replicas: no"),
    ],
)
def test_a_rejected_revision_is_worth_another_try_after_a_change_of(
    change: dict[str, Any], differs: bool, a_spec: ASpec
) -> None:
    assert (plan_digest(a_spec(**change)) != plan_digest(a_spec())) is differs


def test_steps_that_carry_traffic(a_spec: ASpec) -> None:
    assert a_spec().strategy.steps_with_traffic == 3
    assert a_spec(strategy={"blueGreen": {}}).strategy.steps_with_traffic == 1


RESOURCES: dict[str, dict[str, str | int]] = {"limits": {"memory": "1Gi", "example.com/gpu": 1}}
ENV = (("A", "b"), ("C", ""))


@pytest.mark.parametrize(
    "snapshot",
    [
        pytest.param(
            Snapshot(Model("http://models/1", None), Server(None, RESOURCES, ()), "theirs:1", 8082), id="of little"
        ),
        pytest.param(
            Snapshot(
                Model("s3://models/1", "ab" * 32, "models-read", (("AWS_REGION", "eu-1"),)),
                Server("mine:1", RESOURCES, ENV, 4, Batching(32, timedelta(milliseconds=2)), "clients"),
                "mine:1",
                8082,
            ),
            id="of everything",
        ),
        pytest.param(
            Snapshot(
                Model("s3://models/1", None),
                Server(None, {}, (), batching=Batching(max_delay=timedelta())),
                "mine:1",
                8082,
            ),
            id="of a batch that doesn't wait",
        ),
        pytest.param(Snapshot(Model("http://models/1", None), Server(None, {}, ()), "old:1", None), id="of old"),
    ],
)
def test_a_snapshot_reads_back(snapshot: Snapshot) -> None:
    assert Snapshot.parse(snapshot.to_dict()) == snapshot


def test_a_record_of_an_older_operator_is_understood() -> None:
    written = {
        "model": {"uri": "http://models/1", "sha256": "ab" * 32},
        "server": {"image": None, "resources": RESOURCES, "env": [["A", "b"], ["C", ""]]},
        "image": "theirs:1",
    }

    assert Snapshot.parse(written) == Snapshot(
        Model("http://models/1", "ab" * 32), Server(None, RESOURCES, ENV), "theirs:1", None
    )


X, Y = Tensor("x", "FP32", (-1, 64)), Tensor("y", "INT64", (-1,))


def facts(inputs: tuple[Tensor, ...] = (X,), outputs: tuple[Tensor, ...] = (Y,)) -> ModelFacts:
    return ModelFacts("ab" * 32, inputs, outputs)


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        pytest.param(facts(), None, id="the same signature"),
        pytest.param(facts((Tensor("x", "FP32", (-1, -1)),)), None, id="an input that takes more shapes"),
        pytest.param(facts(outputs=(Y, Tensor("p", "FP32", (-1, 10)))), None, id="one more output"),
        pytest.param(facts(outputs=(Tensor("y", "INT64", (-1, 1)),)), None, id="an output of another shape"),
        pytest.param(
            facts((Tensor("x", "FP32", (1, 64)),)),
            "its input is x FP32[1,64], stable's is x FP32[-1,64]",
            id="an input that takes fewer shapes",
        ),
        pytest.param(
            facts((Tensor("x", "FP32", (-1, 8, 8)),)),
            "its input is x FP32[-1,8,8], stable's is x FP32[-1,64]",
            id="an input of another rank",
        ),
        pytest.param(
            facts((Tensor("x", "FP64", (-1, 64)),)),
            "its input is x FP64[-1,64], stable's is x FP32[-1,64]",
            id="an input of another type",
        ),
        pytest.param(
            facts((Tensor("text", "BYTES", (-1,)),)),
            "it takes the inputs text BYTES[-1], stable takes x FP32[-1,64]",
            id="another input",
        ),
        pytest.param(
            facts((X, Y)),
            "it takes the inputs x FP32[-1,64], y INT64[-1], stable takes x FP32[-1,64]",
            id="one more input",
        ),
        pytest.param(
            facts(outputs=()), "it gives the outputs none, stable gives y INT64[-1]", id="an output that is gone"
        ),
        pytest.param(
            facts(outputs=(Tensor("y", "FP32", (-1,)),)),
            "it gives the outputs y FP32[-1], stable gives y INT64[-1]",
            id="an output of another type",
        ),
    ],
)
def test_clients_of_stable_and(candidate: ModelFacts, expected: str | None) -> None:
    assert incompatibility(facts(), candidate) == expected


def test_a_rejected_revision_is_not_tried_again_after_an_upgrade_of_the_operator(a_spec: ASpec) -> None:
    """These are recorded in people's clusters. A field that is renamed keeps its name in the digest by `at(...)`, a new
    one has a default that stands for what was done before.
    """
    assert plan_digest(a_spec()) == "4d3c3030"
    assert plan_digest(a_spec(strategy={"blueGreen": {}})) == "7ce63960"
