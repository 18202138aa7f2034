"""Between two whole looks at a rollout only its counters are taken in, as long as nothing else has changed."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from tests.operator.directly import DirectWorld
from tests.operator.world import START, Behaviour
from tidegate.controller import reconciler
from tidegate.controller.glances import LONGEST, Glances
from tidegate.decide.rollout import decide
from tidegate.model.decision import Decision
from tidegate.model.observation import Observation

KEY = ("shop", "digits")
MANIFEST: dict[str, Any] = {"metadata": {"name": "digits"}}
SECOND = timedelta(seconds=1)
MODELS = {
    "http://models/1": Behaviour(),
    "http://models/2": Behaviour(),
    "http://models/failing": Behaviour(error_rate=0.2),
}


@pytest.fixture
def glances() -> Glances:
    """A whole look at START left nothing to do for 3 s."""
    glances = Glances()
    glances.end(KEY, MANIFEST, glances.begin(KEY), START, 3 * SECOND)
    return glances


def test_a_glance_suffices_until_the_next_look_is_due(glances: Glances) -> None:
    assert glances.until(KEY, MANIFEST, START + SECOND) == START + 3 * SECOND
    assert glances.until(KEY, MANIFEST, START + 3 * SECOND) is None


def test_nobody_glances_for_longer_than_a_few_seconds(glances: Glances) -> None:
    glances.end(KEY, MANIFEST, glances.begin(KEY), START, timedelta(minutes=1))

    assert glances.until(KEY, MANIFEST, START) == START + LONGEST


def test_another_resource_asks_for_a_whole_look(glances: Glances) -> None:
    assert glances.until(KEY, dict(MANIFEST), START + SECOND) is None


def test_what_changes_around_it_asks_for_a_whole_look(glances: Glances) -> None:
    glances.changed(*KEY)

    assert glances.until(KEY, MANIFEST, START + SECOND) is None


def test_what_changes_during_a_look_asks_for_another_one(glances: Glances) -> None:
    changes = glances.begin(KEY)
    glances.changed(*KEY)
    glances.end(KEY, MANIFEST, changes, START, 3 * SECOND)

    assert glances.until(KEY, MANIFEST, START + SECOND) is None


def test_a_look_that_failed_is_repeated_as_a_whole(glances: Glances) -> None:
    glances.begin(KEY)

    assert glances.until(KEY, MANIFEST, START + SECOND) is None


def test_a_clock_that_was_set_back_asks_for_a_whole_look(glances: Glances) -> None:
    assert glances.until(KEY, MANIFEST, START - SECOND) is None


def rolling(spec_schema: Mapping[str, Any]) -> DirectWorld:
    """A candidate that has had a tenth of the requests for a minute, and stays there."""
    world = DirectWorld(spec_schema, MODELS)
    for uri in ("http://models/1", "http://models/2"):
        steps = {"canary": {"steps": [{"weight": 10, "minDuration": "30m"}]}}
        world.kubectl_apply(model={"uri": uri}, strategy=steps)
        world.run(60)
    return world


def test_most_looks_at_a_rollout_that_goes_on_are_glances(
    spec_schema: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, whole = rolling(spec_schema), list[Observation]()

    def decided(seen: Observation) -> Decision:
        whole.append(seen)
        return decide(seen)

    monkeypatch.setattr(reconciler, "decide", decided)
    increments = world.judge.collector._folds[KEY].test.increments
    world.run(60)

    assert len(whole) <= 60 / 4
    assert world.judge.collector._folds[KEY].test.increments == increments + 60


def test_a_candidate_that_turns_bad_is_found_in_the_same_second_whether_or_not_it_is_glanced_at(
    spec_schema: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def rolled_back_at() -> tuple[int, str]:
        world = rolling(spec_schema)
        world.models = {**world.models, "http://models/2": MODELS["http://models/failing"]}
        world.run(30)
        return world.second_of("event RolledBack"), world.status["history"][0]["message"]

    glanced_at = rolled_back_at()
    monkeypatch.setattr(Glances, "until", lambda *_: None)

    assert glanced_at == rolled_back_at()
