"""`tidegate pause`, `resume` and `undo` in each phase of a rollout on a real cluster; no request is lost for them."""

import json
from collections.abc import Mapping
from dataclasses import asdict

import pytest

from tests.controls.phases import PHASES
from tests.controls.readers import tidegate
from tests.controls.scene import LIVE, Cell, Phase, Scene
from tests.e2e.stage import Stage
from tidegate.model.control import Control
from tidegate_demo import place

pytestmark = pytest.mark.controls

RESULTS = place.REPOSITORY / "build" / "controls"
DONE, REFUSED = "done", "refused"
FIRST, SECOND = "v2", "v5"
NEVER_PROMOTED = "v6"
"""What has been promoted before goes back in one shift (`rollbackWindow`), and has no phases then."""
ASKED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "paused": (("pause", REFUSED), ("resume", DONE), ("pause", DONE), ("undo", DONE)),
}
"""What is asked for in a phase, one after the other, and what comes of it."""
USUAL = (("resume", REFUSED), ("pause", DONE), ("resume", DONE), ("undo", DONE))


@pytest.mark.parametrize("strategy", PHASES)
def test_pause_resume_and_undo_in_every_phase(stage: Stage, strategy: str, capsys: pytest.CaptureFixture[str]) -> None:
    scene, cells = Scene(stage, strategy, [SECOND, NEVER_PROMOTED]), list[Cell]()
    _go_live_for_the_second_time(scene, PHASES[strategy][-2])
    with stage.loaded(rate=50.0, seconds=1500) as load:
        for phase in PHASES[strategy]:
            scene.reach(phase)
            for verb, _ in ASKED.get(phase.name, USUAL):
                cells.append(_asked(scene, phase, verb))
                with capsys.disabled():
                    print(f"\n  {strategy}, {phase.name}: {verb}: {cells[-1].reason}: {cells[-1].sentence}", end="")  # noqa: T201
            _is_back(scene, phase)
    stage.nothing_lost(load)
    RESULTS.mkdir(parents=True, exist_ok=True)
    lost = {"requests": len(load.requests), "lost": 0}
    (RESULTS / f"spec-{strategy}.json").write_text(json.dumps([lost, *map(asdict, cells)], indent=1))
    assert [(cell.phase, cell.control, cell.reason) for cell in cells] == [
        (phase.name, verb, expected) for phase in PHASES[strategy] for verb, expected in ASKED.get(phase.name, USUAL)
    ]


def _go_live_for_the_second_time(scene: Scene, phase: Phase) -> None:
    """So that there is an earlier revision to go back to where nothing is under way."""
    scene.stage.go_live(FIRST, **phase.spec)
    scene.stage.apply(SECOND, **phase.spec)
    scene.stage.until("a rollout begins", lambda s: "rollout" in s)
    scene.ask(Control.PROMOTE_FULL, "before the first phase")
    scene.stage.until("it is stable", lambda s: s.get("phase") == "Live" and not s.get("rollout"))
    scene.stage.settled()


def _asked(scene: Scene, phase: Phase, verb: str) -> Cell:
    """What `tidegate VERB` did, and its last sentence: the operator's status then, or why it wouldn't."""
    told = tidegate(scene.stage, verb, "digits", "--reason", "a trial")
    assert told.code in (0, 1), told
    sentence = (told.out if told.code == 0 else told.err).strip().splitlines()[-1]
    return Cell(scene.strategy, phase.name, verb, DONE if told.code == 0 else REFUSED, sentence)


def _is_back(scene: Scene, phase: Phase) -> None:
    """An undo during a rollout has ended it; else the revision of before has all requests."""
    tidegate(scene.stage, "resume", "digits")  # what was paused when it was undone is paused still
    status = scene.stage.until(
        "it is undone", lambda s: s.get("phase") == "Live" and not s.get("rollout") and not s.get("rejected")
    )
    outcome = status["history"][0]["outcome"]
    assert outcome == ("Promoted" if phase.name == LIVE else "Aborted"), status["history"][0]
    if phase.name == LIVE:
        scene.versions = [FIRST, NEVER_PROMOTED]
