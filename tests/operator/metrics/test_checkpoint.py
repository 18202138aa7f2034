"""A collector that takes up what another kept goes on where that one was, and asks for nothing that it had read."""

import json
import random
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import datetime, timedelta

import pytest

from tests.operator.judge.test_checkpoint import state
from tests.operator.metrics.test_collector import ARMS, BEGAN, STEP, Recorded, requests_of
from tidegate.judge.case import Criteria
from tidegate.metrics import checkpoint, record
from tidegate.metrics.checkpoint import OF_FOLD, Kept, from_text, to_text
from tidegate.metrics.collector import MetricsCollector
from tidegate.metrics.fold import Fold
from tidegate.metrics.look import Look, Measured
from tidegate.metrics.provider import CounterQuery, Readings
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.status import Rollout, Shift
from tidegate.model.traffic import Arms

POINTS_OF_TWO_HOURS = 1440


class Restarted:
    """An operator that keeps checkpoints, and may be restarted."""

    def __init__(self, spec: ModelDeploymentSpec, provider: Recorded) -> None:
        self.spec, self.provider = spec, provider
        self.kept: str | None = None
        self.record = ""
        self.shifts: tuple[Shift, ...] = (Shift(BEGAN, 10),)
        self.restart()

    def restart(self) -> None:
        self._collector = MetricsCollector(
            self.provider, kept=lambda arms: Kept(self.kept, self.record) if self.kept is not None else None
        )

    def look(self, point: int) -> Measured:
        rollout = Rollout("b", BEGAN, 1, BEGAN, self.shifts)
        criteria = Criteria(self.spec.analysis, 1e-9)
        found = self._collector.measure(Look(ARMS, rollout, self.spec, criteria, STEP, BEGAN + point * STEP))
        assert isinstance(found, Measured)
        if found.checkpoint:
            self.kept, self.record = found.checkpoint
        return found


@pytest.fixture
def spec(a_spec: Callable[..., ModelDeploymentSpec]) -> ModelDeploymentSpec:
    spec = a_spec()
    return replace(spec, analysis=replace(spec.analysis, interval=STEP))


def told(found: Measured) -> tuple[object, ...]:
    """All that a verdict rests on."""
    return state(found.test), found.measurements


@pytest.mark.parametrize("seed", range(4))
def test_a_restart_at_any_time_gives_exactly_the_same_evidence(spec: ModelDeploymentSpec, seed: int) -> None:
    chance = random.Random(seed)
    spec = replace(spec, analysis=replace(spec.analysis, requests_from="Router" if seed % 2 else "Servers"))
    steady, restarted = (Restarted(spec, Recorded()) for _ in range(2))
    for point in range(1, 200):
        if chance.random() < 0.02:
            steady.shifts = restarted.shifts = (*steady.shifts, Shift(BEGAN + point * STEP, 10))
        expected, found = steady.look(point), restarted.look(point)
        assert told(found) == told(expected), point
        if chance.random() < 0.1:
            restarted.restart()

    assert requests_of(restarted.look(200)) > (0, 0)


def test_what_was_read_for_hours_is_not_read_again(spec: ModelDeploymentSpec) -> None:
    operator = Restarted(spec, Recorded())
    for point in range(0, POINTS_OF_TWO_HOURS + 1, 5):
        before = operator.look(point)
    operator.provider.asked = operator.provider.most_points = 0
    operator.restart()
    after = operator.look(POINTS_OF_TWO_HOURS)

    assert told(after) == told(before)
    assert (operator.provider.asked, operator.provider.most_points) <= (6, 20)


def test_a_candidate_that_was_shown_worse_stays_so_though_nobody_answers_any_more(spec: ModelDeploymentSpec) -> None:
    operator = Restarted(spec, Recorded(failing=True))
    for point in range(60):
        operator.look(point)
    operator.restart()
    operator.provider.up = False

    assert operator.look(60).test.rejected_at


def test_while_nobody_answers_nothing_of_what_is_kept_is_lost(spec: ModelDeploymentSpec) -> None:
    steady, operator = (Restarted(spec, Recorded()) for _ in range(2))
    for point in range(60):
        steady.look(point), operator.look(point)
    operator.restart()
    operator.provider.up = False
    (missing, *_) = operator.look(60).measurements.missing
    assert missing.reason == "MetricsUnavailable"
    operator.provider.up = True

    assert told(operator.look(61)) == told(steady.look(61))


def test_a_baseline_that_is_learned_after_a_restart_begins_where_the_evidence_does(spec: ModelDeploymentSpec) -> None:
    steady, operator = (Restarted(spec, Recorded()) for _ in range(2))
    operator.provider.servers_up = False
    for point in range(60):
        steady.look(point), operator.look(point)
    operator.restart()
    operator.look(60)
    operator.provider.servers_up = True

    assert told(operator.look(61)) == told(steady.look(61))


def test_an_edit_while_nobody_judged_means_what_it_always_means(spec: ModelDeploymentSpec) -> None:
    wider = replace(spec, analysis=replace(spec.analysis, false_rollback=0.02))
    steady, operator = (Restarted(spec, Recorded()) for _ in range(2))
    for point in range(60):
        steady.look(point), operator.look(point)
    operator.restart()
    operator.look(59)
    steady.spec = operator.spec = wider

    assert told(operator.look(61)) == told(steady.look(61))
    assert requests_of(operator.look(62)) < (300, 300)


def kept_by(spec: ModelDeploymentSpec, points: int = 60) -> str:
    operator = Restarted(spec, Recorded())
    for point in range(points):
        operator.look(point)
    assert operator.kept
    return operator.kept


def altered(text: str, **parts: object) -> str:
    return b64encode(
        zlib.compress(json.dumps({**json.loads(zlib.decompress(b64decode(text))), **parts}).encode())
    ).decode()


ROLLOUT = Rollout("b", BEGAN, 1, BEGAN, (Shift(BEGAN, 10),))


@pytest.mark.parametrize(
    ("arms", "rollout"),
    [
        pytest.param(Arms("shop", "digits", "a", "c"), replace(ROLLOUT, candidate="c"), id="of another candidate"),
        pytest.param(Arms("shop", "digits", "z", "b"), ROLLOUT, id="beside another stable revision"),
        pytest.param(ARMS, replace(ROLLOUT, started_at=BEGAN - STEP), id="begun at another time"),
        pytest.param(ARMS, replace(ROLLOUT, shifts=(Shift(BEGAN + STEP, 10),)), id="with traffic from another time on"),
    ],
)
def test_what_is_kept_of_another_rollout_is_not_taken_up(
    spec: ModelDeploymentSpec, arms: Arms, rollout: Rollout
) -> None:
    text = kept_by(spec)

    assert from_text(text, ARMS, ROLLOUT) is not None
    assert from_text(text, arms, rollout) is None
    assert from_text(altered(text, version=0), ARMS, ROLLOUT) is None


def test_what_makes_no_sense_is_as_if_nothing_had_been_kept(spec: ModelDeploymentSpec) -> None:
    text = kept_by(spec)
    expected = Restarted(spec, Recorded()).look(60)
    bomb = b64encode(zlib.compress(b" " * (record.LARGEST_UNPACKED + 1))).decode()
    deep = b64encode(zlib.compress(b"[" * 10**6)).decode()
    for other in (
        "",
        "?",
        text[: len(text) // 2],
        text[:-8],
        bomb,
        deep,
        altered(text, fold=[]),
        altered(text, test={}),
    ):
        operator = Restarted(spec, Recorded())
        operator.kept = other
        assert told(operator.look(60)) == told(expected)


def test_more_than_a_config_map_should_hold_is_not_kept(
    spec: ModelDeploymentSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold = from_text(kept_by(spec), ARMS, ROLLOUT)
    assert fold
    assert to_text(fold, ARMS, ROLLOUT)
    monkeypatch.setattr(checkpoint, "LARGEST", 100)
    assert to_text(fold, ARMS, ROLLOUT) is None


def test_whatever_is_kept_of_a_rollout_is_written_down_or_made_anew() -> None:
    made_anew = {"identity", "traffic_to_reread", "details_to_reread", "since_to_reread", "written_at", "behind"}
    made_anew |= {"lock", "kept", "by_prometheus", "covered", "compared_at", "agreement", "known_as"}
    recorded = {"recorder"}
    parts = {"test", "traffic", "details", "since"}

    assert {each.name for each in fields(Fold)} == {*OF_FOLD, *parts, *made_anew, *recorded}


def test_a_point_that_nobody_knows_any_more_is_a_gap(spec: ModelDeploymentSpec) -> None:
    operator = Restarted(spec, Forgetful())
    for point in range(60):
        operator.look(point)
    operator.restart()
    operator.provider.since = BEGAN + 60 * STEP  # type: ignore[attr-defined]
    found = operator.look(70)

    assert not found.measurements.missing
    assert requests_of(found) > (0, 0)


class Forgetful(Recorded):
    """It has lost what was before."""

    since = BEGAN - timedelta(days=1)

    def readings(self, query: CounterQuery, start: datetime, step: timedelta, points: int) -> Readings:
        found = super().readings(query, start, step, points)
        samples = [each if start + index * step >= self.since else {} for index, each in enumerate(found.samples)]
        return Readings(samples, found.newest, found.interval)
