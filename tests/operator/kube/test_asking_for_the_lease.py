"""What may go wrong with a question for the Lease: nothing of it ends the asking."""

from collections.abc import Mapping
from typing import Any

import pytest

from tidegate.errors import ClusterUnavailable
from tidegate.kube import leader_election
from tidegate.kube.api import Manifest, Resource
from tidegate.kube.leader_election import LONGEST_PAUSE, RENEW_SECONDS, LeaderElection
from tidegate.model.traffic import Writer

METADATA = {"name": "tidegate-operator", "resourceVersion": "1"}


class Answers:
    """An API server that gives these answers to GETs, the last one again and again, and takes every PUT."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.written: list[Mapping[str, Any]] = []

    def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        found: Manifest | None = answer
        return found

    def replace(self, resource: Resource, manifest: Mapping[str, Any]) -> None:
        self.written.append(manifest["spec"])

    def create(self, resource: Resource, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        self.written.append(manifest["spec"])
        return manifest


def asking(*answers: Any) -> tuple[LeaderElection, Answers]:
    api = Answers(*answers)
    return LeaderElection(api, "tidegate", "tidegate-operator", "pod-1"), api  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(ClusterUnavailable("it doesn't answer"), id="no answer"),
        pytest.param(OSError("no such file: token"), id="a log-in that fails"),
        pytest.param({"metadata": METADATA, "spec": "?"}, id="a Lease that is none"),
    ],
)
def test_a_question_for_the_lease_may_fail_in_any_way(trouble: Any) -> None:
    election, _ = asking(trouble, trouble, {"metadata": METADATA})
    for _ in range(2):
        election.ask_once()
        assert not election.held()
    election.ask_once()

    assert election.held()


def test_pauses_grow_while_nothing_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader_election, "uniform", lambda low, high: 1.0)
    election, _ = asking(ClusterUnavailable("it doesn't answer"))
    pauses = [election._pause()]
    for _ in range(5):
        election.ask_once()
        pauses.append(election._pause())

    assert pauses == [RENEW_SECONDS, RENEW_SECONDS, 2 * RENEW_SECONDS, 4 * RENEW_SECONDS, LONGEST_PAUSE, LONGEST_PAUSE]


def test_after_hours_without_an_answer_it_asks_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader_election, "uniform", lambda low, high: 1.0)
    election, _ = asking(ClusterUnavailable("it doesn't answer"))
    for _ in range(2000):
        election.ask_once()

    assert election._pause() == LONGEST_PAUSE


def test_who_holds_the_lease_goes_on_asking_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    election, _ = asking({"metadata": METADATA, "spec": {}}, ClusterUnavailable("it doesn't answer"))
    for _ in range(3):
        election.ask_once()

    assert (election.held(), election._pause()) == (True, RENEW_SECONDS)


def test_a_lease_of_an_older_operator_is_the_beginning_of_counting() -> None:
    election, api = asking({"metadata": METADATA, "spec": {"holderIdentity": "pod-1"}})
    election.ask_once()

    assert (election.writer, api.written[0]["leaseTransitions"]) == (Writer("tidegate/tidegate-operator", 1), 1)


def test_a_lease_that_is_made_anew_counts_from_higher_up() -> None:
    election, _ = asking(None)
    election.ask_once()

    assert election.writer.epoch > 20_000_000  # minutes since 1970: more than any Lease was ever taken over


def test_how_long_nothing_was_answered_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(leader_election, "monotonic", lambda: now[0])
    election, _ = asking({"metadata": METADATA, "spec": {"holderIdentity": "another"}}, ClusterUnavailable("no answer"))
    for at in (10.0, 100.0, 310.0):
        now[0] = at
        election.ask_once()

    assert (election.held(), election.silent_seconds()) == (False, 300.0)
