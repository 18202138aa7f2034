"""The page's table is what its cases are, and what the operator says of itself is one of them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.gitops.conditions import CASES, Case
from tests.operator.kstatus import compute
from tests.operator.world import Behaviour, World
from tidegate.cli.control.answer import MANAGER as COMMANDS
from tidegate.client.synchronous import MANAGER as CLIENT
from tidegate.kube.api import CONTROLLER_REVISIONS, DEPLOYMENTS, MODEL_ROUTES, SERVICES
from tidegate.model.control import Control, Intent
from tidegate.resources.names import FIELD_MANAGER

REPOSITORY = Path(__file__).parents[2]
ROW = re.compile(r"^\| (?!-|conditions)(.+?) \| (\w+) \| (.+?) \|$", re.MULTILINE)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_kstatus_makes_of_it_what_the_page_says(case: Case) -> None:
    assert compute(case.manifest) == case.kstatus


def test_the_page_has_each_row_and_no_other() -> None:
    page = (REPOSITORY / "docs" / "gitops.md").read_text()
    shown = {conditions: (kstatus, argocd) for conditions, kstatus, argocd in ROW.findall(page)}
    known = {case.row: (case.kstatus, "as before it was" if case.deleted else case.argocd) for case in CASES.values()}
    assert shown == known


def test_every_control_is_an_action_with_its_annotation() -> None:
    data = yaml.safe_load((REPOSITORY / "examples" / "gitops" / "argocd-cm.yaml").read_text())["data"]
    actions = yaml.safe_load(data["resource.customizations.actions.tidegate.dev_ModelDeployment"])
    scripts = {each["name"]: each["action.lua"] for each in actions["definitions"]}

    assert set(scripts) == {*map(str, Control), "pause", "resume"}
    assert [control for control in Control if f'"{control.annotation}"' not in scripts[control]] == []


def test_no_manager_of_ours_is_one_whose_fields_flux_takes_away() -> None:
    """Flux takes over what managers wrote whose names begin so, and removes what Git doesn't have."""
    taken = ("kubectl", "before-first-apply", "kustomize-controller", "helm")
    assert [each for each in (FIELD_MANAGER, COMMANDS, CLIENT) if each.startswith(taken)] == []


TRACKING: Mapping[str, Mapping[str, str]] = {
    "labels": {
        "app.kubernetes.io/instance": "models",
        "argocd.argoproj.io/instance": "models",
        "kustomize.toolkit.fluxcd.io/name": "models",
        "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
    },
    "annotations": {"argocd.argoproj.io/tracking-id": "models:tidegate.dev/ModelDeployment:shop/digits"},
}


def test_no_object_of_a_model_carries_that_by_which_tools_prune(spec_schema: Mapping[str, Any]) -> None:
    world = World(spec_schema, {"http://models/1": Behaviour()})
    world.kubectl_apply(model={"uri": "http://models/1"}, replicas=2)
    assert world._deployment is not None
    world._deployment["metadata"].update(TRACKING)
    world.run(30)
    metadata = [
        world.object(kind, name)["metadata"]
        for kind in (CONTROLLER_REVISIONS, DEPLOYMENTS, SERVICES, MODEL_ROUTES)
        for name in world.names(kind)
    ]

    assert len(metadata) >= 4
    for where, marks in TRACKING.items():
        assert [each["name"] for each in metadata if set(marks) & set(each.get(where, {}))] == []


def test_a_step_that_waits_for_approval_says_so_where_argo_cd_looks(spec_schema: Mapping[str, Any]) -> None:
    world = World(spec_schema, {"http://models/1": Behaviour(), "http://models/2": Behaviour()})
    strategy = {"canary": {"steps": [{"weight": 50, "approval": "Required"}]}}
    world.kubectl_apply(model={"uri": "http://models/1"}, strategy=strategy, replicas=2)
    world.run(20)
    world.kubectl_apply(model={"uri": "http://models/2"}, strategy=strategy, replicas=2)
    world.run_until(lambda: world.condition("Reconciling")[1] == "WaitingForApproval")
    rollout = world.status["rollout"]
    assert world._deployment is not None
    assert compute(world._deployment) == "InProgress"

    world.kubectl_annotate(Intent(Control.APPROVE, rollout["candidate"], rollout["step"], "Argo CD"))
    world.run(2)

    assert world.condition("Reconciling")[1] != "WaitingForApproval"
    assert world.annotations == {}
