"""The notebook's cells run one after the other, against an API server on loopback and an operator that obeys."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.operator.fake_api import FakeApi, serving
from tests.operator.view_examples import Released
from tidegate.cli.control import answer
from tidegate.kube.api import EVENTS, MODEL_DEPLOYMENTS, Manifest
from tidegate.model.control import Control

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook" / "share-by-hand.ipynb"
SHORTLY = {"NAMESPACE": "shop", "NAME": "digits", "MODEL": "http://models/2", "LOOK_SECONDS": 0.4}


class Operator:
    """Begins the rollout that is asked for, and gives the candidate the next step's share whenever it is promoted."""

    def __init__(self, candidate: Manifest, promoted: Manifest) -> None:
        self.candidate, self.promoted = candidate, promoted
        self.reasons: list[str] = []
        self.steps: list[int] = []

    def __call__(self, api: FakeApi, manifest: Manifest) -> None:
        if manifest["kind"] != "ModelDeployment":
            return
        asked = manifest["metadata"].get("annotations", {}).get(Control.PROMOTE.annotation)
        if asked is not None:
            self.reasons.append(asked.partition(": ")[2])
            self._tell(api, manifest)
        elif manifest["status"].get("observedGeneration") == manifest["metadata"]["generation"]:
            return
        else:
            self.steps = [step["weight"] for step in manifest["spec"]["strategy"]["canary"]["steps"]]
        self._put(api, manifest)

    def _put(self, api: FakeApi, manifest: Manifest) -> None:
        metadata, step = {**manifest["metadata"], "annotations": {}}, len(self.reasons) + 1
        status: dict[str, Any] = self.promoted
        if step <= len(self.steps):
            weight = self.steps[step - 1]
            traffic = {"candidate": weight, "appliedCandidate": weight, "observedCandidate": f"{weight + 0.4}%"}
            rollout = {**self.candidate["rollout"], "step": step}
            status = {**self.candidate, "traffic": {**self.candidate["traffic"], **traffic}, "rollout": rollout}
        status = {**status, "observedGeneration": metadata["generation"]}
        api.put(MODEL_DEPLOYMENTS, {**manifest, "metadata": metadata, "status": status})

    def _tell(self, api: FakeApi, manifest: Manifest) -> None:
        about = {name: manifest["metadata"][name] for name in ("uid", "name")}
        event = {"namespace": "shop", "name": f"digits-{len(api.events)}"}
        api.put(EVENTS, {"metadata": event, "involvedObject": about, "reason": "Promoted", "message": "as asked"})


@pytest.fixture
def operator(spec_schema: Mapping[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    """One behind the API server that the notebook's kubeconfig leads to, where a first model is live."""
    fake, released = FakeApi(), Released(spec_schema)
    live = released.manifest
    candidate = released.release("2", 20).manifest["status"]
    operator = Operator(candidate, released.release("2", 400).manifest["status"])
    fake.put(MODEL_DEPLOYMENTS, live)
    fake.reactions.append(operator)
    monkeypatch.setattr(answer, "GRACE", 0.1)
    with serving(fake, tmp_path) as place:
        monkeypatch.setenv("KUBECONFIG", str(place))
        yield operator


def cells() -> list[str]:
    """The code, with what the test sets in the place of the notebook's parameters."""
    found = []
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        if cell["cell_type"] == "code":
            parameters = "parameters" in cell["metadata"].get("tags", ())
            found.append("".join(cell["source"]) + ("\nglobals().update(SHORTLY)" if parameters else ""))
    return found


def test_the_notebook_raises_the_share_step_by_step_and_shows_it(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    namespace: dict[str, Any] = {"SHORTLY": SHORTLY}
    for source in cells():
        exec(compile(source, NOTEBOOK.name, "exec"), namespace)  # noqa: S102 - our own example
    shares = [share for _, share, _ in namespace["seen"]]
    picture = ElementTree.fromstring(namespace["Picture"](namespace["seen"])._repr_svg_())  # noqa: S314 - our own

    assert operator.steps == [10, 25, 50]
    assert operator.reasons == [f"looked at {weight} % for 0.4 s" for weight in (10, 25, 50)]
    assert sorted(set(shares)) == [10, 25, 50]
    assert shares == sorted(shares)
    assert capsys.readouterr().out.splitlines()[-1].startswith("live - ")
    assert {child.tag.rpartition("}")[2] for child in picture} == {"text", "path", "circle"}


def test_the_notebook_is_kept_without_what_it_once_showed() -> None:
    notebook = json.loads(NOTEBOOK.read_text())
    shown = [cell["id"] for cell in notebook["cells"] if cell.get("outputs") or cell.get("execution_count")]

    assert notebook["nbformat"] == 4
    assert shown == []
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
