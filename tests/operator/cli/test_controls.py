"""Pause, approve, abort, undo and their like, against an API server on loopback and an operator that answers."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.operator.fake_api import FakeApi, serving
from tests.operator.view_examples import Released
from tidegate.__main__ import main
from tidegate.cli.control import answer, command
from tidegate.kube.api import CONTROLLER_REVISIONS, EVENTS, MODEL_DEPLOYMENTS, Manifest
from tidegate.model.control import Control, given_controls
from tidegate.model.revision import RevisionState, Snapshot, find_revision
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.resources.crd_schema import with_defaults

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "ANSWER_SECONDS", 2.0)
    monkeypatch.setattr(answer, "GRACE", 0.2)


@pytest.fixture
def tidegate(place: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command; exit code, stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, "--kubeconfig", str(place)])
        return code, *capsys.readouterr()

    return run


def put(fake: FakeApi, released: Released) -> Manifest:
    for revision in released.revisions:
        fake.put(CONTROLLER_REVISIONS, revision)
    return fake.put(MODEL_DEPLOYMENTS, released.manifest)


def an_operator(reason: str = "Approved", message: str = "it is done") -> Callable[[FakeApi, Manifest], None]:
    """One that acts on whatever it is asked, removes the annotation and posts an Event."""

    def act(api: FakeApi, manifest: Manifest) -> None:
        if manifest["kind"] != "ModelDeployment":
            return
        metadata = manifest["metadata"]
        asked = given_controls(metadata.get("annotations"))
        left = {
            key: text for key, text in metadata.get("annotations", {}).items() if not key.startswith("tidegate.dev/")
        }
        status = {**manifest["status"], "observedGeneration": metadata["generation"], "message": "so it is now"}
        said = "; ".join(f"{each.control} {each.intent.asked if each.intent else ''}" for each in asked)
        about = {"uid": metadata["uid"], "name": metadata["name"]}
        api.put(MODEL_DEPLOYMENTS, {**manifest, "metadata": {**metadata, "annotations": left}, "status": status})
        event = {"namespace": "shop", "name": f"digits-{len(api.events)}"}
        api.put(
            EVENTS,
            {"metadata": event, "involvedObject": about, "reason": reason, "message": f"{message} {said}".strip()},
        )

    return act


def patches(fake: FakeApi) -> list[Any]:
    return [asked.body for asked in fake.asked if asked.method == "PATCH"]


@pytest.mark.parametrize("control", ["approve", "skip", "abort", "promote"])
def test_a_control_names_the_revision_the_step_and_who_asks_why(
    control: str, tidegate: Run, fake: FakeApi, under_way: Released
) -> None:
    stored = put(fake, under_way)
    fake.reactions.append(an_operator("Done", "done"))
    code, out, err = tidegate(control, "digits", "--reason", "looks fine")

    (patch,) = patches(fake)
    candidate, step = stored["status"]["candidate"]["revision"], stored["status"]["rollout"]["step"]
    where = f"{candidate}/{step}" if Control(control).concerns_a_step else candidate
    assert (code, err) == (0, "")
    assert patch["metadata"]["annotations"] == {f"tidegate.dev/{control}": f"{where} by alice: looks fine"}
    assert patch["metadata"]["resourceVersion"] == stored["metadata"]["resourceVersion"]
    assert out.splitlines()[0].startswith("shop/digits: ")
    assert out.splitlines()[1:] == [f"Done: done {control} by alice: looks fine", "Canary: so it is now"]


def test_promoting_fully_is_another_control(tidegate: Run, fake: FakeApi, under_way: Released) -> None:
    stored = put(fake, under_way)
    fake.reactions.append(an_operator())
    tidegate("promote", "digits", "--full")

    text = f"{stored['status']['candidate']['revision']} by alice"
    assert patches(fake)[0]["metadata"]["annotations"] == {"tidegate.dev/promote-full": text}


def test_a_write_names_its_manager(tidegate: Run, fake: FakeApi, under_way: Released) -> None:
    put(fake, under_way)
    tidegate("abort", "digits", "--no-wait")

    assert [asked.query for asked in fake.asked if asked.method == "PATCH"] == [{"fieldManager": "tidegate-cli"}]


def test_restart_is_about_stable_and_retry_about_what_was_rolled_back(
    tidegate: Run, fake: FakeApi, rolled_back: Released
) -> None:
    stored = put(fake, rolled_back)
    tidegate("restart", "digits", "--no-wait")
    tidegate("retry", "digits", "--no-wait")

    restart, retry = patches(fake)
    assert restart["metadata"]["annotations"] == {
        "tidegate.dev/restart": f"{stored['status']['stable']['revision']} by alice"
    }
    assert retry["metadata"]["annotations"] == {
        "tidegate.dev/retry": f"{stored['status']['rejected']['revision']} by alice"
    }


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["abort"], "has nothing to abort: no rollout is under way"),
        (["approve"], "has nothing to approve: no rollout is under way"),
        (["promote", "--full"], "has nothing to promote: no rollout is under way"),
        (["retry"], "has nothing to retry: no revision was rolled back"),
        (["resume"], "is not paused"),
        (["undo", "--to-revision", "99"], "has no revision 99 any more; kept are 2 digits-"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    arguments: list[str], sentence: str, tidegate: Run, fake: FakeApi, live: Released
) -> None:
    put(fake, live)
    code, out, err = tidegate(arguments[0], "digits", *arguments[1:])

    assert (code, out, patches(fake)) == (1, "", [])
    assert err.startswith(f"tidegate {arguments[0]}: shop/digits {sentence}")


def test_the_first_release_has_nothing_to_go_back_to(
    tidegate: Run, fake: FakeApi, spec_schema: Mapping[str, Any]
) -> None:
    manifest = {"metadata": {"namespace": "shop", "name": "digits", "uid": "u", "generation": 1}, "spec": {}}
    status = {"candidate": {"revision": "digits-1"}, "rollout": {"candidate": "digits-1"}}
    times = {"startedAt": "2026-01-01T00:00:00Z", "stepStartedAt": "2026-01-01T00:00:00Z"}
    fake.put(MODEL_DEPLOYMENTS, {**manifest, "status": {**status, "rollout": {**status["rollout"], **times}}})

    assert tidegate("abort", "digits")[2].startswith(
        "tidegate abort: shop/digits has no stable revision to go back to yet"
    )
    assert tidegate("restart", "digits")[2].startswith(
        "tidegate restart: shop/digits has no stable revision to restart yet"
    )


def test_an_operator_that_refuses_is_quoted(tidegate: Run, fake: FakeApi, under_way: Released) -> None:
    put(fake, under_way)
    fake.reactions.append(an_operator("ControlRefused", "the rollout is at step 3"))
    code, out, err = tidegate("approve", "digits")

    assert code == 1
    assert err == "tidegate: shop/digits: the rollout is at step 3 approve by alice\n"
    assert len(out.splitlines()) == 1


def test_an_operator_that_is_away_is_told(tidegate: Run, fake: FakeApi, under_way: Released) -> None:
    put(fake, under_way)
    code, _, err = tidegate("abort", "digits")

    assert code == 124
    assert "the operator hasn't answered within 2 s; what was asked for stands" in err


def test_what_is_asked_for_already_is_not_asked_again(tidegate: Run, fake: FakeApi, under_way: Released) -> None:
    put(fake, under_way)
    tidegate("abort", "digits", "--no-wait", "--reason", "bad")
    code, _, err = tidegate("abort", "digits", "--no-wait")

    assert code == 1
    assert "has been asked already, and the operator hasn't answered yet: abort: digits-" in err
    assert len(patches(fake)) == 1


def test_who_has_no_right_is_told_so(tidegate: Run, fake: FakeApi, under_way: Released) -> None:
    put(fake, under_way)
    fake.refusals["PATCH", "modeldeployments"] = (403, 'User "alice" cannot patch resource "modeldeployments"')
    code, out, err = tidegate("abort", "digits")

    assert (code, out) == (1, "")
    assert err == (
        "tidegate abort: shop/digits can't be changed: you have no right to: "
        'User "alice" cannot patch resource "modeldeployments"\n'
    )


class Meanwhile(FakeApi):
    """Somebody else writes between our look and our write, so many times."""

    def __init__(self, times: int, change: Callable[[Manifest], Manifest]) -> None:
        super().__init__()
        self.times, self.change = times, change

    def patch(self, key: tuple[str, str, str], change: Any) -> tuple[int, Manifest]:
        if self.times:
            self.times -= 1
            self.put(MODEL_DEPLOYMENTS, self.change(self.objects[key]))
        return super().patch(key, change)


def run_against(fake: FakeApi, folder: Path, *arguments: str) -> int:
    with serving(fake, folder) as place:
        return main([*arguments, "--kubeconfig", str(place)])


def test_a_status_that_is_written_meanwhile_does_not_matter(under_way: Released, tmp_path: Path) -> None:
    fake = Meanwhile(2, lambda held: {**held, "status": {**held["status"], "message": "another sentence"}})
    put(fake, under_way)

    assert run_against(fake, tmp_path, "abort", "digits", "--no-wait") == 0
    assert len(patches(fake)) == 3


def test_a_rollout_that_moves_on_meanwhile_is_not_approved(
    under_way: Released, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def next_step(held: Manifest) -> Manifest:
        status = held["status"]
        return {**held, "status": {**status, "rollout": {**status["rollout"], "step": 3}}}

    fake = Meanwhile(1, next_step)
    put(fake, under_way)

    assert run_against(fake, tmp_path, "approve", "digits") == 1
    assert "was changed by somebody else at the same moment, so nothing was asked for" in capsys.readouterr().err
    assert not given_controls(fake.read(MODEL_DEPLOYMENTS, "shop", "digits")["metadata"].get("annotations"))


def test_two_people_cannot_both_have_the_last_word(
    under_way: Released, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def bob(held: Manifest) -> Manifest:
        return {**held, "metadata": {**held["metadata"], "annotations": {"tidegate.dev/abort": "digits-1 by bob"}}}

    fake = Meanwhile(1, bob)
    put(fake, under_way)

    assert run_against(fake, tmp_path, "abort", "digits") == 1
    assert (
        "has been asked already, and the operator hasn't answered yet: abort: digits-1 by bob"
        in capsys.readouterr().err
    )


def test_pausing_and_resuming_are_the_spec(tidegate: Run, fake: FakeApi, under_way: Released) -> None:
    put(fake, under_way)
    fake.reactions.append(an_operator("Noted", "noted"))
    paused, out, _ = tidegate("pause", "digits", "--reason", "lunch")
    seen = fake.read(MODEL_DEPLOYMENTS, "shop", "digits")
    again, _, err = tidegate("pause", "digits")
    resumed, _, _ = tidegate("resume", "digits")

    assert (paused, again, resumed) == (0, 1, 0)
    assert seen["spec"]["paused"] is True
    assert seen["metadata"]["annotations"] == {"kubernetes.io/change-cause": "paused by alice: lunch"}
    assert out.splitlines()[-1] == "Canary: so it is now"
    assert err == "tidegate pause: shop/digits is paused already; so it is now\n"
    assert fake.read(MODEL_DEPLOYMENTS, "shop", "digits")["spec"]["paused"] is False


def wanted(fake: FakeApi, released: Released, schema: Mapping[str, Any]) -> str:
    """The revision that the spec asks for now."""
    spec = ModelDeploymentSpec.parse(with_defaults(schema, fake.read(MODEL_DEPLOYMENTS, "shop", "digits")["spec"]))
    known = {
        each["metadata"]["name"]: RevisionState(
            each["metadata"]["name"], each["revision"], Snapshot.parse(each["data"])
        )
        for each in released.revisions
    }
    return find_revision("digits", spec, known, ())


def test_undo_after_a_promotion_goes_to_what_was_stable_before(
    tidegate: Run, fake: FakeApi, live: Released, spec_schema: Mapping[str, Any]
) -> None:
    put(fake, live)
    before = live.world.status["history"][0]["stable"]
    code, out, _ = tidegate("undo", "digits", "--no-wait")

    assert code == 0
    assert wanted(fake, live, spec_schema) == before
    assert out.startswith(f"shop/digits: the spec asks for {before} (http://models/1)")


@pytest.mark.parametrize("state", ["under_way", "rolled_back"])
def test_undo_of_a_release_goes_to_stable(
    state: str, tidegate: Run, fake: FakeApi, spec_schema: Mapping[str, Any], request: pytest.FixtureRequest
) -> None:
    released: Released = request.getfixturevalue(state)
    put(fake, released)
    tidegate("undo", "digits", "--no-wait")

    assert wanted(fake, released, spec_schema) == released.world.status["stable"]["revision"]


@pytest.mark.parametrize("by", ["name", "number"])
def test_undo_goes_to_the_revision_that_is_named(
    by: str, tidegate: Run, fake: FakeApi, live: Released, spec_schema: Mapping[str, Any]
) -> None:
    put(fake, live)
    first = min(live.revisions, key=lambda each: each["revision"])
    tidegate(
        "undo",
        "digits",
        "--no-wait",
        "--to-revision",
        first["metadata"]["name"] if by == "name" else str(first["revision"]),
    )

    assert wanted(fake, live, spec_schema) == first["metadata"]["name"]


def test_undo_leaves_out_what_the_older_revision_cannot_have_beside_it(
    tidegate: Run, fake: FakeApi, live: Released, spec_schema: Mapping[str, Any]
) -> None:
    manifest = put(fake, live)
    spec = manifest["spec"]
    samples = {"server": {**spec["server"], "requestSamples": {"keySecret": "samples"}}}
    agreement = {"analysis": {**spec["analysis"], "agreement": {}}}
    gates = {"gates": [{"name": "approved", "at": "Start", "registry": {}}]}
    fake.put(MODEL_DEPLOYMENTS, {**manifest, "spec": {**spec, **samples, **agreement, **gates}})
    code, out, _ = tidegate("undo", "digits", "--no-wait")

    after = fake.read(MODEL_DEPLOYMENTS, "shop", "digits")["spec"]
    assert code == 0
    assert wanted(fake, live, spec_schema) == live.world.status["history"][0]["stable"]
    assert (after["analysis"], after["gates"]) == (spec["analysis"], [])
    assert "these are left out: spec.analysis.agreement, the registry's gates" in out


def test_undo_beyond_the_history_is_refused(tidegate: Run, fake: FakeApi, spec_schema: Mapping[str, Any]) -> None:
    put(fake, Released(spec_schema))
    code, _, err = tidegate("undo", "digits")

    assert (code, patches(fake)) == (1, [])
    assert "has no earlier revision in its history" in err


def test_undo_to_a_revision_that_is_gone_says_what_is_kept(tidegate: Run, fake: FakeApi, live: Released) -> None:
    put(fake, live)
    before = live.world.status["history"][0]["stable"]
    fake.remove(CONTROLLER_REVISIONS, "shop", before)
    code, _, err = tidegate("undo", "digits")

    assert (code, patches(fake)) == (1, [])
    assert f"has no revision {before} any more; kept are 2 digits-" in err


def test_undo_to_what_is_asked_for_already_changes_nothing(tidegate: Run, fake: FakeApi, live: Released) -> None:
    put(fake, live)
    code, _, err = tidegate("undo", "digits", "--to-revision", live.world.status["stable"]["revision"])

    assert (code, patches(fake)) == (1, [])
    assert "asks for digits-" in err


def test_a_dry_run_asks_for_nothing_and_says_how_kubectl_would(
    tidegate: Run, fake: FakeApi, under_way: Released
) -> None:
    put(fake, under_way)
    code, out, _ = tidegate("pause", "digits", "--dry-run")

    assert (code, patches(fake)) == (0, [])
    assert "kubectl -n shop patch mdep/digits --type merge -p '{" in out


def test_an_answer_as_a_document(tidegate: Run, fake: FakeApi, under_way: Released) -> None:
    put(fake, under_way)
    fake.reactions.append(an_operator("Done", "done"))
    document = json.loads(tidegate("abort", "digits", "-o", "json")[1])

    assert document | {"will": ""} == {
        "namespace": "shop",
        "name": "digits",
        "will": "",
        "answered": True,
        "refused": False,
        "events": [{"reason": "Done", "message": "done abort by alice"}],
        "phase": "Canary",
        "message": "so it is now",
    }


def test_without_the_right_to_read_events_the_annotations_end_is_the_answer(
    tidegate: Run, fake: FakeApi, under_way: Released
) -> None:
    put(fake, under_way)
    fake.reactions.append(an_operator())
    fake.refusals["GET", "events"] = (403, "no")

    assert tidegate("abort", "digits")[:2] == (0, tidegate_said(under_way))


def tidegate_said(released: Released) -> str:
    status = released.world.status
    stable, candidate = status["stable"]["revision"], status["candidate"]["revision"]
    return (
        f"shop/digits: all requests go to {stable} now; {candidate} isn't tried again before `tidegate retry digits`\n"
        "Canary: so it is now\n"
    )


def test_undo_of_a_change_of_a_config_map_names_the_revision_whose_content_is_meant(
    tidegate: Run, fake: FakeApi, spec_schema: Mapping[str, Any]
) -> None:
    put(fake, Released(spec_schema).release("2", 20))
    manifest = fake.read(MODEL_DEPLOYMENTS, "shop", "digits")
    stable = manifest["status"]["stable"]["revision"]
    snapshot = fake.read(CONTROLLER_REVISIONS, "shop", stable)
    config = [["ConfigMap", "thresholds", "ab" * 16]]
    fake.put(
        CONTROLLER_REVISIONS,
        {**snapshot, "data": {**snapshot["data"], "server": {**snapshot["data"]["server"], "config": config}}},
    )
    code, out, _ = tidegate("undo", "digits", "--to-revision", stable, "--no-wait")

    assert code == 0
    assert "with what its ConfigMaps had then until spec.server.configRevision is left out" in out
    assert fake.read(MODEL_DEPLOYMENTS, "shop", "digits")["spec"]["server"]["configRevision"] == stable
