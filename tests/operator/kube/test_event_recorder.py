"""What is said again is counted up, and nothing floods a namespace."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import KubernetesApi, Manifest, Resource
from tidegate.kube.event_recorder import EventRecorder
from tidegate.model.decision import Event

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DIGITS = {
    "apiVersion": "tidegate.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "digits", "namespace": "shop", "uid": "u-1"},
}
AWAY = Event("MetricsUnavailable", "Prometheus is away", warning=True)
SEEN = Event("MetricsSeen", "it is back")


@dataclass
class Events:
    """The API server's Events; `writes` counts what was asked of it."""

    stored: dict[str, Manifest] = field(default_factory=dict)
    writes: int = 0

    def create(self, resource: Resource, manifest: Mapping[str, Any]) -> Manifest:
        self.writes += 1
        name = f"{manifest['metadata']['generateName']}{self.writes}"
        self.stored[name] = {**manifest, "metadata": {**manifest["metadata"], "name": name}}
        return self.stored[name]

    def merge(self, resource: Resource, namespace: str, name: str, patch: Mapping[str, Any]) -> Manifest:
        self.writes += 1
        if name not in self.stored:
            raise ClusterUnavailable("there is none", 404)
        self.stored[name] |= patch
        return self.stored[name]

    def told(self) -> list[tuple[str, int]]:
        return [(event["reason"], event["count"]) for event in self.stored.values()]


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def recorder(events: Events) -> EventRecorder:
    return EventRecorder(cast(KubernetesApi, events), "operator-1")


def test_what_comes_and_goes_is_two_events_and_not_many(recorder: EventRecorder, events: Events) -> None:
    for tens in range(0, 60, 2):
        recorder.emit(DIGITS, AWAY, NOW + timedelta(seconds=10 * tens))
        recorder.emit(DIGITS, SEEN, NOW + timedelta(seconds=10 * tens + 10))

    assert [reason for reason, _ in events.told()] == ["MetricsUnavailable", "MetricsSeen"]
    assert events.writes <= 2 * 27


def test_the_latest_message_and_time_are_told(recorder: EventRecorder, events: Events) -> None:
    recorder.emit(DIGITS, AWAY, NOW)
    recorder.emit(DIGITS, Event("MetricsUnavailable", "it is slow", warning=True), NOW + timedelta(minutes=1))
    (event,) = events.stored.values()

    assert (event["count"], event["message"]) == (2, "it is slow")
    assert (event["firstTimestamp"], event["lastTimestamp"]) == ("2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z")


def test_the_same_after_a_long_time_is_another_event(recorder: EventRecorder, events: Events) -> None:
    recorder.emit(DIGITS, AWAY, NOW)
    recorder.emit(DIGITS, AWAY, NOW + timedelta(hours=1))

    assert events.told() == [("MetricsUnavailable", 1), ("MetricsUnavailable", 1)]


def test_an_event_that_was_deleted_is_posted_anew(recorder: EventRecorder, events: Events) -> None:
    recorder.emit(DIGITS, AWAY, NOW)
    events.stored.clear()
    recorder.emit(DIGITS, AWAY, NOW + timedelta(minutes=1))

    assert events.told() == [("MetricsUnavailable", 1)]


def test_a_flood_of_one_reason_drops_none_of_another(recorder: EventRecorder, events: Events) -> None:
    for second in range(100):
        recorder.emit(DIGITS, AWAY, NOW + timedelta(seconds=second))
    recorder.emit(DIGITS, Event("RolledBack", "it failed", warning=True), NOW + timedelta(seconds=100))

    assert events.told() == [("MetricsUnavailable", 25), ("RolledBack", 1)]


def test_what_is_held_back_is_counted_and_told_with_the_next_write(recorder: EventRecorder, events: Events) -> None:
    for second in range(100):
        recorder.emit(DIGITS, AWAY, NOW + timedelta(seconds=second))
    recorder.emit(DIGITS, AWAY, NOW + timedelta(minutes=5))

    assert events.told() == [("MetricsUnavailable", 101)]
    assert events.writes == 26


def test_a_sentence_whose_numbers_change_each_second_for_an_hour_is_few_writes(
    recorder: EventRecorder, events: Events
) -> None:
    for second in range(3600):
        told = Event("ErrorRateWorse", f"error rate {second / 100} %", warning=True)
        recorder.emit(DIGITS, told, NOW + timedelta(seconds=second))

    ((reason, count),) = events.told()
    assert reason == "ErrorRateWorse"
    assert 3300 <= count <= 3600
    assert events.writes <= 25 + 3600 / 300


@pytest.mark.parametrize("answer", ["RolledBack", "ControlRefused", "Approved", "Skipped", "PromotedByHand"])
def test_reasons_that_a_pod_invents_hold_back_no_end_and_no_answer_to_people(
    recorder: EventRecorder, events: Events, answer: str
) -> None:
    for second in range(600):
        recorder.emit(DIGITS, Event(f"Invented{second}", "it crashed", warning=True), NOW + timedelta(seconds=second))
    recorder.emit(DIGITS, Event(answer, "by alice", warning=True), NOW + timedelta(seconds=600))

    assert events.writes <= 75 + 600 / 60 + 1
    assert events.told()[-1] == (answer, 1)


def test_a_flood_of_one_object_holds_back_nothing_of_another(recorder: EventRecorder, events: Events) -> None:
    for second in range(200):
        recorder.emit(DIGITS, Event(f"Invented{second}", "it crashed", warning=True), NOW + timedelta(seconds=second))
    letters = {**DIGITS, "metadata": {"name": "letters", "namespace": "shop", "uid": "u-2"}}
    recorder.emit(letters, AWAY, NOW + timedelta(seconds=200))

    assert events.told()[-1] == ("MetricsUnavailable", 1)


def test_an_event_that_is_not_taken_is_not_counted(recorder: EventRecorder, events: Events) -> None:
    recorder.emit(DIGITS, AWAY, NOW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "merge", refuse)
        with pytest.raises(ClusterUnavailable):
            recorder.emit(DIGITS, AWAY, NOW + timedelta(seconds=1))
    recorder.emit(DIGITS, AWAY, NOW + timedelta(seconds=2))

    assert events.told() == [("MetricsUnavailable", 2)]


def refuse(*_: object) -> Manifest:
    raise ClusterUnavailable("no answer")
