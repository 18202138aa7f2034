"""`tidegate plan` says what applying a file would lead to, as the operator would do it."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.operator.fake_api import FakeApi, serving
from tests.operator.view_examples import CANARY, Released
from tidegate.__main__ import main
from tidegate.cli.plan.change import Known, change_of
from tidegate.kube.api import CONTROLLER_REVISIONS, MODEL_DEPLOYMENTS
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.status import Status
from tidegate.resources.crd_schema import with_defaults

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def plan(fake: FakeApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Plans a spec of the model shop/digits."""
    with serving(fake, tmp_path) as place:

        def run(spec: Mapping[str, Any], *arguments: str) -> tuple[int, str, str]:
            metadata = {"name": "digits", "namespace": "shop"}
            document = {"apiVersion": "tidegate.dev/v1alpha1", "kind": "ModelDeployment", "metadata": metadata}
            file = tmp_path / "model.yaml"
            file.write_text(yaml.safe_dump({**document, "spec": spec}))
            return main(["plan", str(file), "--kubeconfig", str(place), *arguments]), *capsys.readouterr()

        yield run


def a_spec(model: str, **more: Any) -> dict[str, Any]:
    return {"replicas": 2, "strategy": CANARY, "model": {"uri": f"http://models/{model}"}, **more}


def candidate_of(released: Released) -> Any:
    return released.world.status.get("candidate", {}).get("revision")


def known(released: Released) -> Known:
    return Known("digits", Status.parse(released.world.status), released.revisions)


@pytest.mark.parametrize(
    ("releases", "model", "more", "what", "by_steps"),
    [
        pytest.param([], "1", {}, "is live already", False, id="the same again"),
        pytest.param([], "2", {}, "is released beside digits-", True, id="a new one"),
        pytest.param([("2", 20)], "2", {}, "is under way already", True, id="the candidate"),
        pytest.param([("2", 20)], "failing", {}, "it takes the place of digits-", True, id="a third one"),
        pytest.param([("2", 20)], "1", {}, "which is under way, is given up, at once", False, id="stable again"),
        pytest.param(
            [("failing", 200)], "failing", {}, "isn't tried again before `tidegate retry", False, id="rejected"
        ),
        pytest.param(
            [("failing", 200)],
            "failing",
            {"analysis": {"interval": "20s"}},
            "is released beside digits-",
            True,
            id="rejected under another analysis",
        ),
        pytest.param([("2", 400)], "1", {}, "within rollbackWindow: all requests in one shift", False, id="undone"),
        pytest.param(
            [("2", 400)], "1", {"rollbackWindow": "0s"}, "is released beside", True, id="undone without a window"
        ),
    ],
)
def test_what_it_says_is_what_the_operator_then_does(
    releases: list[tuple[str, float]],
    model: str,
    more: dict[str, Any],
    what: str,
    by_steps: bool,
    spec_schema: Mapping[str, Any],
) -> None:
    released = Released(spec_schema)
    for name, seconds in releases:
        released.release(name, seconds)
    spec = ModelDeploymentSpec.parse(with_defaults(spec_schema, a_spec(model, **more)))
    before = candidate_of(released)
    change = change_of(spec, known(released), released.now)
    released.world.kubectl_apply(**a_spec(model, **more))
    released.world.run(8)
    weights = [shift["weight"] for shift in released.world.status.get("rollout", {}).get("shifts", ())]

    assert (what in change.what, change.by_steps) == (True, by_steps)
    steps_taken = (
        released.world.status.get("candidate", {}).get("revision") not in (None, before) and 100 not in weights
    )
    assert steps_taken == (by_steps and "under way already" not in what)


def test_a_model_that_is_not_there_goes_live_at_once(plan: Run) -> None:
    code, out, _ = plan(a_spec("1"))

    assert (code, out) == (0, "digits: it is the first revision: it goes live when a pod is ready, and isn't judged\n")


def test_the_steps_have_their_pods_their_evidence_and_their_time(
    plan: Run, fake: FakeApi, spec_schema: Mapping[str, Any]
) -> None:
    released = Released(spec_schema)
    fake.put(MODEL_DEPLOYMENTS, released.manifest)
    for revision in released.revisions:
        fake.put(CONTROLLER_REVISIONS, revision)
    code, out, _ = plan(a_spec("2"), "--rate", "50")
    rows = [line.split() for line in out.splitlines()]

    assert code == 0
    assert rows[0][2:5] == ["is", "released", "beside"]
    assert [row[:3] for row in rows[3:7]] == [
        ["1", "10%", "1"],
        ["2", "25%", "1"],
        ["3", "50%", "2"],
        ["4", "100%", "2"],
    ]
    assert out.splitlines()[-1].startswith("at 50 requests a second a candidate like stable takes about ")


def test_traffic_that_cannot_decide_is_told_and_ends_with_one(plan: Run) -> None:
    code, out, _ = plan(a_spec("2"), "--offline", "--rate", "0.1")

    assert code == 1
    assert "0.1 requests a second can't decide this within spec.analysis.deadline, 1h" in out


def test_without_traffic_it_says_what_to_give(plan: Run) -> None:
    code, out, _ = plan(a_spec("2"), "--offline")

    assert code == 0
    assert out.endswith("how long that takes depends on the traffic: give --rate, or --prometheus to have it read\n")


def test_a_switch_has_two_steps(plan: Run) -> None:
    strategy = {"blueGreen": {"verifyFor": "2m", "keepOld": "10m"}}
    document = json.loads(plan(a_spec("2", strategy=strategy), "--offline", "-o", "json")[1])

    assert [(each["weight"], each["pods"], each["atLeastSeconds"]) for each in document["steps"]] == [
        (0, 2, 120),
        (100, 2, timedelta(minutes=1).total_seconds()),
    ]


def test_a_file_that_is_wrong_is_not_planned(plan: Run) -> None:
    code, out, err = plan({**a_spec("2"), "replicas": -1}, "--offline")

    assert (code, out) == (1, "")
    assert "spec.replicas must be a whole number from 0 to 1000, not -1; `tidegate lint" in err


def test_that_answers_are_compared_is_told(plan: Run) -> None:
    given = {"server": {"requestSamples": {"keySecret": "samples"}}, "analysis": {"agreement": {"tolerate": "0.5%"}}}
    code, out, _ = plan(a_spec("2", **given), "--offline")
    sentence = "before its first traffic it is asked live requests again, if stable's pods keep samples, and goes back"
    assert (code, sentence in " ".join(out.split()), "more than 0.5% of them otherwise" in out) == (0, True, True)


@pytest.mark.parametrize(("policy", "follows"), [("Warn", "that is told"), ("Hold", "it goes no further")])
def test_that_inputs_are_compared_is_told(plan: Run, policy: str, follows: str) -> None:
    code, out, _ = plan(a_spec("2", analysis={"inputs": {"drift": "5%", "onDrift": policy}}), "--offline")
    sentence = "where its inputs differ by more than 5% from its training-profile.json, if it has one, "
    assert (code, sentence + follows in " ".join(out.split())) == (0, True)


def test_who_has_to_approve_of_another_signature_is_told(plan: Run) -> None:
    code, out, _ = plan(a_spec("2", analysis={"signature": "Hold"}), "--offline")
    sentence = "where clients of stable would break on its signature, somebody has to approve its first traffic"
    assert (code, sentence in out) == (0, True)


def test_users_who_stay_are_named(plan: Run) -> None:
    code, out, _ = plan(a_spec("2", traffic={"sticky": {"cookie": {"name": "user"}}}), "--offline")
    said = "a weight is a share of the users, who are known by the cookie user and stay with one revision"
    assert (code, said in out) == (0, True)


def test_groups_that_are_judged_by_themselves_are_named(plan: Run) -> None:
    tenants = {"name": "tenant", "header": "X-Tenant", "values": ["acme", "umbrella"]}
    countries = {"name": "country", "header": "x-country", "values": ["de"], "required": True}
    code, out, _ = plan(a_spec("2", analysis={"slices": [tenants, countries]}), "--offline")

    assert code == 0
    assert (
        "it goes back if requests of one tenant fare worse, by x-tenant: acme, umbrella, and all others; no promotion "
        "waits for them\n"
        "it goes back if requests of one country fare worse, by x-country: de, and all others; a promotion waits until "
        "each is shown to be no worse\n"
    ) in out


def test_gates_are_named_with_the_moment_at_which_they_are_asked(plan: Run) -> None:
    gates = [
        {"name": "team", "at": "Start", "url": "https://gates.example.com/team"},
        {"name": "load", "at": "Step", "steps": [2], "job": {"image": "registry/load:1"}},
    ]
    code, out, _ = plan(a_spec("2", gates=gates), "--offline")

    assert code == 0
    assert "the gate team is asked before its first traffic\nthe gate load is run as a Job before step 2\n" in out
