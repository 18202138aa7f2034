"""The phases of a rollout of either strategy in which somebody asks for something."""

from collections.abc import Mapping
from typing import Any

from tests.controls.scene import LIVE, NO_SUCH_IMAGE, SOON_CONTENT, Phase, Scene, Status
from tidegate.model.control import Control

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


def says(reason: str) -> Any:
    """Whether a status has a condition that is True for this reason."""

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
        Phase("waiting for approval", _canary(approval="Required"), says("WaitingForApproval")),
        Phase("paused", _canary(minDuration=LONG), _is_paused, _pause),
        Phase("with all traffic", _kept(_canary()), _at_step(3)),
        Phase(LIVE, _canary(), _is_live),
        Phase("ended", _canary(minDuration=LONG), lambda s: bool(s.get("rejected")), _abort),
    ),
    "blue-green": (
        Phase("starting", {**_blue_green(), "server": NO_SUCH_IMAGE}, _at_step(0)),
        Phase("judged", _blue_green(verifyFor=LONG), _at_step(1)),
        Phase("waiting for approval", _blue_green(approval="Required"), says("WaitingForApproval")),
        Phase("paused", _blue_green(verifyFor=LONG), _is_paused, _pause),
        Phase("with all traffic", _blue_green(keepOld=LONG), _at_step(2)),
        Phase(LIVE, _blue_green(), _is_live),
        Phase("ended", _blue_green(verifyFor=LONG), lambda s: bool(s.get("rejected")), _abort),
    ),
}
