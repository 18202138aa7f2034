"""kubectl, tidegate and the page tell one story of a rollout in each of its phases, in one sentence."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.controls.scene import NO_SUCH_IMAGE, SOON_CONTENT, Scene
from tests.e2e.stage import Stage, refused
from tests.readers import Readers, command
from tidegate.model.control import Control

pytestmark = pytest.mark.controls

LONG = "10m"
# Nobody sends requests: so the evidence stands still, and the sentence with it while it is read in eleven ways.
HOLDS = {**SOON_CONTENT, "deadline": "40s", "onInconclusive": "Hold"}
STEPS = {"canary": {"steps": [{"weight": 20, "minDuration": LONG}, {"weight": 50}]}}
SPEC: Mapping[str, Any] = {"analysis": HOLDS, "strategy": STEPS}
FALLING = {"canary": {"steps": [{"weight": 50}, {"weight": 20}]}}
SETTLED = {
    "first": "live",
    "starting": "under way",
    "aborted": "failed",
    "progressing": "under way",
    "held": "under way",
    "paused": "under way",
    "promoted": "live",
    "rolled back": "failed",
    "refused by the CRD": "failed",
}


def test_one_sentence_everywhere(
    stage: Stage, reading: Readers, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    scene = Scene(stage, "canary")
    seen: dict[str, str] = {}

    def compare(phase: str) -> None:
        found = reading.sentences()
        seen[phase] = reading.settled()
        with capsys.disabled():
            print(f"\n  {phase}: {found['the status']}", end="")  # noqa: T201
        assert found == dict.fromkeys(found, found["the status"])

    stage.go_live("v2", **SPEC)
    compare("first")

    stage.apply("v5", **SPEC, server=NO_SUCH_IMAGE)
    stage.until("it can't start", lambda s: "never-there" in s.get("message", ""))
    compare("starting")

    scene.ask(Control.ABORT, "starting")
    stage.until("it is aborted", lambda s: s["phase"] == "RolledBack" and not s.get("rollout"))
    stage.settled()
    compare("aborted")

    stage.apply("v5", **SPEC)
    stage.until("it has traffic", lambda s: s.get("rollout", {}).get("step") == 1)
    compare("progressing")

    stage.until("it is held", lambda s: s["phase"] == "Held", seconds=120)
    compare("held")

    assert reading.tidegate("pause", "digits", "--reason", "a trial").code == 0
    stage.until("it is paused", lambda s: s["phase"] == "Paused")
    compare("paused")

    scene.ask(Control.PROMOTE_FULL, "paused")
    stage.until("it is promoted", lambda s: s["phase"] in ("Live", "Paused") and not s.get("rollout"))
    assert reading.tidegate("resume", "digits").code == 0
    stage.until("it is live", lambda s: s["phase"] == "Live")
    stage.settled()
    compare("promoted")

    stage.apply_model({"uri": f"http://{stage.files}/digits-nonsense.onnx"}, **SPEC)
    stage.until("it is rolled back", lambda s: s["phase"] == "RolledBack" and not s.get("rollout"))
    stage.settled()
    compare("rolled back")

    before = stage.read()["status"]["message"]
    _is_refused_in_the_same_words(stage, tmp_path)
    compare("refused by the CRD")
    assert stage.read()["status"]["message"] == before
    assert seen == SETTLED


def _is_refused_in_the_same_words(stage: Stage, folder: Path) -> None:
    """A spec that makes no sense: the API server's sentence is lint's, and nothing is changed."""
    manifest = stage.read()
    wrong = {
        "apiVersion": manifest["apiVersion"],
        "kind": manifest["kind"],
        "metadata": {"name": "digits", "namespace": stage.namespace},
        "spec": {**manifest["spec"], "strategy": FALLING},
    }
    sentence = "the weights of spec.strategy.canary.steps must ascend"
    file = folder / "wrong.json"
    file.write_text(json.dumps(wrong))
    linted = command("lint", str(file))
    assert sentence in refused(stage.kubectl, wrong)
    assert (linted.code, sentence in linted.out) == (1, True)
