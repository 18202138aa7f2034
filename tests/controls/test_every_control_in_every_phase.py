"""Each control is done or refused in each phase of a rollout, on a real cluster, and no request is lost for it."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict

import pytest

from tests.controls.phases import PHASES
from tests.controls.scene import (
    ABORTED,
    APPROVED,
    LIVE,
    PROMOTED,
    REFUSED,
    RESTARTING,
    RETRIED,
    SKIPPED,
    Cell,
    Phase,
    Scene,
)
from tests.e2e.stage import Stage
from tidegate.model.control import Control
from tidegate_demo import place

pytestmark = pytest.mark.controls

RESULTS = place.REPOSITORY / "build" / "controls"
EXPECTED: Mapping[str, Mapping[Control, str]] = {
    "starting": {Control.PROMOTE: PROMOTED, Control.PROMOTE_FULL: PROMOTED, Control.ABORT: ABORTED},
    "judged": {
        Control.SKIP: SKIPPED,
        Control.PROMOTE: PROMOTED,
        Control.PROMOTE_FULL: PROMOTED,
        Control.ABORT: ABORTED,
    },
    "waiting for approval": {
        Control.APPROVE: APPROVED,
        Control.PROMOTE: PROMOTED,
        Control.PROMOTE_FULL: PROMOTED,
        Control.ABORT: ABORTED,
    },
    "paused": {
        Control.SKIP: SKIPPED,
        Control.PROMOTE: PROMOTED,
        Control.PROMOTE_FULL: PROMOTED,
        Control.ABORT: ABORTED,
    },
    "with all traffic": {Control.SKIP: SKIPPED, Control.PROMOTE_FULL: PROMOTED, Control.ABORT: ABORTED},
    LIVE: {},
    "ended": {Control.RETRY: RETRIED},
}
"""What is done; all else is refused. Stable's pods can be restarted at any time."""


@pytest.mark.parametrize("strategy", PHASES)
def test_every_control_in_every_phase(stage: Stage, strategy: str, capsys: pytest.CaptureFixture[str]) -> None:
    scene = Scene(stage, strategy)
    stage.go_live("v2", **PHASES[strategy][-2].spec)
    cells: list[Cell] = []
    with stage.loaded(rate=50.0, seconds=1500) as load:
        for phase in PHASES[strategy]:
            for cell in _tried(scene, phase):
                cells.append(cell)
                with capsys.disabled():
                    print(f"\n  {cell.strategy}, {cell.phase}: {cell.control}: {cell.reason}: {cell.sentence}", end="")  # noqa: T201
    stage.nothing_lost(load)
    RESULTS.mkdir(parents=True, exist_ok=True)
    lost = {"requests": len(load.requests), "lost": 0}
    (RESULTS / f"{strategy}.json").write_text(json.dumps([lost, *map(asdict, cells)], indent=1))
    assert [(cell.phase, cell.control, cell.reason) for cell in cells] == [
        (phase.name, control.value, _expected(phase, control))
        for phase in PHASES[strategy]
        for control in _order(phase)
    ]


def _expected(phase: Phase, control: Control) -> str:
    return RESTARTING if control is Control.RESTART else EXPECTED[phase.name].get(control, REFUSED)


def _order(phase: Phase) -> list[Control]:
    """What changes nothing comes first, so that the phase needn't be reached again for it."""
    return sorted(Control, key=lambda control: (_expected(phase, control) not in (REFUSED, RESTARTING), control))


def _tried(scene: Scene, phase: Phase) -> list[Cell]:
    cells, changed = [], True
    for control in _order(phase):
        if changed:
            scene.reach(phase)
        cell = scene.ask(control, phase.name)
        cells.append(cell)
        changed = cell.reason not in (REFUSED, RESTARTING)
        if cell.reason == RESTARTING:
            scene.stage.until("stable's pods were replaced", lambda s: not s.get("restart"))
        time.sleep(1.0)
    return cells
