"""A gate that is a tag of the model's version, against a registry that answers as MLflow's does."""

from collections.abc import Iterator

import pytest

from tests.mlflow_registry import Registry, Version, serving
from tests.operator.registries.test_resolver import registries
from tidegate.gates.registry import LOOK_AGAIN, RegistryGates
from tidegate.gates.review import Question
from tidegate.model.gate import GateAnswer, GateSpec
from tidegate.model.spec import Model

APPROVED_BY = "it is approved in the registry by approved=true"


@pytest.fixture
def mlflow() -> Iterator[Registry]:
    with serving(Registry({"7": Version()}, {"champion": "7"})) as found:
        yield found


def ask(registry: Registry, uri: str = "models:/digits/7", tries: int = 1, **tag: str) -> GateAnswer | float:
    gate = GateSpec.parse({"name": "approved", "at": "Start", "registry": tag, "retries": 1})
    model = Model(uri, None, None, (("MLFLOW_TRACKING_URI", registry.address),))
    question = Question("approved/1/1", gate, b"{}", model=model)
    return RegistryGates(registries()).ask("shop", "id", question, tries)


def test_approved_in_the_registry_is_a_yes(mlflow: Registry) -> None:
    mlflow.versions["7"].tags["approved"] = "true"
    assert ask(mlflow) == GateAnswer(True, "version 7 of digits has the tag approved=true")
    mlflow.versions["7"].tags["stage"] = "production"
    expected = GateAnswer(True, "version 7 of digits has the tag stage=production")
    assert ask(mlflow, "models:/digits@champion", tag="stage", value="production") == expected


def test_what_isnt_approved_is_asked_again(mlflow: Registry) -> None:
    sentence = f"version 7 of digits has no tag approved; {APPROVED_BY}"
    assert ask(mlflow) == GateAnswer(False, sentence, LOOK_AGAIN)
    mlflow.versions["7"].tags["approved"] = "false"
    sentence = f"version 7 of digits has the tag approved=false; {APPROVED_BY}"
    assert ask(mlflow) == GateAnswer(False, sentence, LOOK_AGAIN)


def test_a_registry_that_is_away_is_no_answer_after_all_tries(mlflow: Registry) -> None:
    mlflow.status = 503
    assert isinstance(ask(mlflow), float)
    assert ask(mlflow, tries=2) == GateAnswer(None, "it answers HTTP 503")


def test_another_source_has_no_tags(mlflow: Registry) -> None:
    sentence = "only a model with a models:/ URI has tags in a registry"
    assert ask(mlflow, "s3://models/7") == GateAnswer(None, sentence)
