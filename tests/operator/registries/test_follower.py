"""Names that are looked at at intervals, beside everything else."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tidegate.errors import CallFailed
from tidegate.model.followed import Answers
from tidegate.registries import follower as following
from tidegate.registries.follower import Follower
from tidegate.registries.reference import Access, Reference
from tidegate.webhooks.dispatcher import Dispatcher

KEY, URI = ("shop", "digits"), "models:/digits@champion"
REFERENCE = Reference(URI, timedelta(milliseconds=20), Access())


class Registry:
    """Answers each look from a list, and the last one for ever."""

    def __init__(self, *answers: str | Exception) -> None:
        self._answers, self.looks = list(answers), 0

    def resolve(self, namespace: str, uri: str, access: Access) -> str:
        self.looks += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Following:
    """A Follower of its own, whose news can be waited for."""

    def __init__(self, registry: Registry) -> None:
        self.dispatcher, self.leads = Dispatcher(), True
        self._news = threading.Event()
        self.follower = Follower(self.dispatcher, registry, lambda *_: self._news.set(), lambda: self.leads)

    def until(self, expected: Answers) -> Answers:
        """The answers, once they are as expected, or as they are after a while."""
        found = Answers(URI)
        for _ in range(100):
            self._news.clear()
            found = self.follower.answers(KEY, REFERENCE) or found
            if found == expected:
                break
            self._news.wait(0.3)
        return found


@pytest.fixture
def made() -> Iterator[list[Following]]:
    found: list[Following] = []
    yield found
    for each in found:
        each.dispatcher.stop()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "SHORTEST", timedelta(milliseconds=20))


def test_a_name_is_looked_at_again_and_again(made: list[Following]) -> None:
    made.append(Following(Registry("models:/digits/7", "models:/digits/7", "models:/digits/8")))
    most = Answers(URI, "models:/digits/8", 64, 0)
    assert made[0].until(most) == most


def test_a_look_that_fails_is_told_and_another_follows(made: list[Following]) -> None:
    failure = CallFailed("it can't be reached: Connection refused")
    made.append(Following(Registry("models:/digits/7", failure)))
    told = Answers(URI, "models:/digits/7", 1, 0, "it can't be reached: Connection refused")
    assert made[0].until(told) == told
    made.append(Following(Registry(failure, "models:/digits/7")))
    assert made[1].until(Answers(URI, "models:/digits/7", 64)).problem == ""


def test_what_nobody_foresaw_ends_nothing(made: list[Following]) -> None:
    made.append(Following(Registry(ZeroDivisionError(), "models:/digits/7")))
    assert made[0].until(Answers(URI, "models:/digits/7", 64)).answer == "models:/digits/7"


def test_nobody_asks_who_doesnt_lead(made: list[Following], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "NOT_LEADING", timedelta(milliseconds=20))
    registry = Registry("models:/digits/7")
    made.append(Following(registry))
    made[0].leads = False
    assert made[0].follower.answers(KEY, REFERENCE) == Answers(URI)
    threading.Event().wait(0.2)
    assert registry.looks == 0
    made[0].leads = True
    assert made[0].until(Answers(URI, "models:/digits/7", 64)).answer == "models:/digits/7"


def test_a_name_that_nobody_wants_any_more_isnt_looked_at(made: list[Following]) -> None:
    registry = Registry("models:/digits/7")
    made.append(Following(registry))
    made[0].until(Answers(URI, "models:/digits/7", 64))
    assert made[0].follower.answers(KEY, None) is None
    threading.Event().wait(0.2)
    looks = registry.looks
    threading.Event().wait(0.2)
    assert registry.looks == looks


def test_another_interval_forgets_no_answer(made: list[Following]) -> None:
    made.append(Following(Registry("models:/digits/7")))
    made[0].until(Answers(URI, "models:/digits/7", 64))
    slower = Reference(URI, timedelta(hours=1), Access("mlflow"))
    found = made[0].follower.answers(KEY, slower)
    assert (found and found.answer) == "models:/digits/7"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({"model": {"uri": URI}}, None, id="nothing is to be followed"),
        pytest.param({}, None, id="no model at all"),
        pytest.param({"model": {"uri": URI, "follow": {"every": "soon"}}}, None, id="what can't be read"),
        pytest.param(
            {
                "model": {
                    "uri": URI,
                    "follow": {"every": "1m"},
                    "credentialsSecret": "mlflow",
                    "fetchEnv": [{"name": "A", "value": "b"}],
                }
            },
            Reference(URI, timedelta(minutes=1), Access("mlflow", (("A", "b"),))),
            id="a name, how often, and what that takes",
        ),
    ],
)
def test_what_a_spec_wants_followed(spec: dict[str, object], expected: Reference | None) -> None:
    assert Reference.of(spec) == expected
