"""What became of a version stands in its registry, against one that answers as MLflow's does."""

from collections.abc import Iterator
from time import sleep

import pytest

from tests.mlflow_registry import Registry, Version, serving
from tests.operator.notifiers.test_outbox import AT, KEY, PROMOTED, STARTED, UID, spec_with
from tests.operator.registries.test_resolver import registries
from tests.operator.webhooks.test_secrets import Objects
from tidegate.model.decision import Event
from tidegate.model.notification import Notice
from tidegate.model.reasons import Reason
from tidegate.model.spec import Model
from tidegate.notifiers.outbox import Outbox
from tidegate.webhooks import caller as calling
from tidegate.webhooks.addresses import AddressRules
from tidegate.webhooks.caller import Caller
from tidegate.webhooks.client import WebhookClient
from tidegate.webhooks.dispatcher import Dispatcher

SPEC = spec_with({"format": "ModelVersionTags"})
ROLLED_BACK = Notice("RolledBack", "ErrorRateWorse", "b was rolled back: 20% fail", AT, "a", "b", 1, 2, 0)


@pytest.fixture
def mlflow() -> Iterator[Registry]:
    with serving(Registry({"7": Version()})) as found:
        yield found


class Tagging:
    """An Outbox of its own."""

    def __init__(self) -> None:
        self.dispatcher, self.counted = Dispatcher(), list[str]()
        client, objects = WebhookClient(AddressRules(())), Objects()
        self.outbox = Outbox(
            self.dispatcher,
            Caller(client, objects, lambda: 0.0),
            lambda *_: None,
            count=self.counted.append,
            registries=registries(),
        )

    def tell(self, notice: Notice, model: Model | None) -> list[Event]:
        """What couldn't be told."""
        self.outbox.follow(KEY, UID, SPEC, [notice], lambda revision: model if revision == "b" else None)
        for _ in range(200):
            if notice.id in self.outbox.delivered(KEY):
                break
            sleep(0.05)
        return self.outbox.troubles(KEY)


@pytest.fixture
def tagging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tagging]:
    monkeypatch.setattr(calling, "FIRST_PAUSE", 0.01)
    made = Tagging()
    yield made
    made.dispatcher.stop()


def model(registry: Registry, uri: str = "models:/digits/7") -> Model:
    return Model(uri, None, None, (("MLFLOW_TRACKING_URI", registry.address),))


def test_the_outcome_is_a_tag_of_the_version(tagging: Tagging, mlflow: Registry) -> None:
    assert tagging.tell(ROLLED_BACK, model(mlflow)) == []
    assert mlflow.versions["7"].tags == {
        "tidegate.deployment": "shop/digits",
        "tidegate.revision": "b",
        "tidegate.reason": "ErrorRateWorse",
        "tidegate.message": "b was rolled back: 20% fail",
        "tidegate.time": "2026-01-01T12:00:00Z",
        "tidegate.outcome": "RolledBack",
    }
    tagging.tell(PROMOTED, model(mlflow))
    assert mlflow.versions["7"].tags["tidegate.outcome"] == "Promoted"


def test_only_the_ends_of_a_rollout_are_tagged(tagging: Tagging, mlflow: Registry) -> None:
    assert tagging.tell(STARTED, model(mlflow)) == []
    assert mlflow.asked == []


@pytest.mark.parametrize(
    ("status", "uri", "words"),
    [
        pytest.param(503, "models:/digits/7", "it answers HTTP 503", id="the registry is away"),
        pytest.param(0, "models:/digits/9", "the registry has no version 9 of a model digits", id="no such version"),
        pytest.param(0, "models:/digits@champion", "an alias may mean another version by now", id="an alias"),
        pytest.param(0, "s3://models/7", "only a model with a models:/ URI has tags", id="another source"),
    ],
)
def test_what_cant_be_tagged_is_told_and_given_up(
    tagging: Tagging, mlflow: Registry, status: int, uri: str, words: str
) -> None:
    mlflow.status = status
    (trouble,) = tagging.tell(ROLLED_BACK, model(mlflow, uri))
    assert (trouble.reason, words in trouble.message) == (Reason.NOTIFICATION_FAILED, True)
    assert (tagging.counted, len(mlflow.asked) <= 4) == (["failed"], True)


def test_a_revision_without_a_snapshot_is_told(tagging: Tagging) -> None:
    (trouble,) = tagging.tell(ROLLED_BACK, None)
    assert "the snapshot of b is gone" in trouble.message
