"""Each control is done or refused in each phase of a rollout, on a real cluster, and no request is lost for it."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pytest

from tests.controls.scene import (
    ABORTED,
    APPROVED,
    LIVE,
    NO_SUCH_IMAGE,
    PROMOTED,
    REFUSED,
    RESTARTING,
    RETRIED,
    SKIPPED,
    SOON_CONTENT,
    Cell,
    Phase,
    Scene,
    Status,
)
from tests.e2e.stage import Stage
from tidegate.model.control import Control
from tidegate_demo import place

pytestmark = pytest.mark.controls

RESULTS = place.REPOSITORY / "build" / "controls"
LONG = "10m"


def _canary(**first: Any) -> Mapping[str, Any]:
    return {"analysis": SOON_CONTENT, "strategy": {"canary": {"steps": [{"weight": 20, **first}, {"weight": 50}]}}}


def _kept(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**spec, "strategy": {"canary": {**spec["strategy"]["canary"], "keepOld": LONG}}}


def _blue_green(**fields: Any) -> Mapping[str, Any]:
    whole = {"verifyFor": "0s", "keepOld": "0s", **fields}
    return {"analysis": SOON_CONTENT, "strategy": {"blueGreen": whole}}


def _at_step(step: int) -> Any:
    def reached(status: Status) -> bool:
        return bool((status.get("rollout") or {}).get("step") == step)

    return reached


def _says(reason: str) -> Any:
    def reached(status: Status) -> bool:
        return any(each["status"] == "True" and each["reason"] == reason for each in status.get("conditions", ()))

    return reached


def _is_paused(status: Status) -> bool:
    return "paused" in status.get("rollout", {}).get("since", {})


def _is_live(status: Status) -> bool:
    return status.get("phase") == "Live"


def _pause(scene: Scene) -> None:
    scene.stage.until("it is judged", _at_step(1))
    scene.stage.run("patch", "modeldeployment", "digits", "--type=merge", "--patch", '{"spec": {"paused": true}}')


def _abort(scene: Scene) -> None:
    scene.ask(Control.ABORT, "on the way")


PHASES: Mapping[str, tuple[Phase, ...]] = {
    "canary": (
        Phase("starting", {**_canary(), "server": NO_SUCH_IMAGE}, _at_step(0)),
        Phase("judged", _canary(minDuration=LONG), _at_step(1)),
        Phase("waiting for approval", _canary(approval="Required"), _says("WaitingForApproval")),
        Phase("paused", _canary(minDuration=LONG), _is_paused, _pause),
        Phase("with all traffic", _kept(_canary()), _at_step(3)),
        Phase(LIVE, _canary(), _is_live),
        Phase("ended", _canary(minDuration=LONG), lambda s: bool(s.get("rejected")), _abort),
    ),
    "blue-green": (
        Phase("starting", {**_blue_green(), "server": NO_SUCH_IMAGE}, _at_step(0)),
        Phase("judged", _blue_green(verifyFor=LONG), _at_step(1)),
        Phase("waiting for approval", _blue_green(approval="Required"), _says("WaitingForApproval")),
        Phase("paused", _blue_green(verifyFor=LONG), _is_paused, _pause),
        Phase("with all traffic", _blue_green(keepOld=LONG), _at_step(2)),
        Phase(LIVE, _blue_green(), _is_live),
        Phase("ended", _blue_green(verifyFor=LONG), lambda s: bool(s.get("rejected")), _abort),
    ),
}
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
