"""`tidegate get` and `tidegate status`, against an API server on loopback."""

import copy
import io
import json
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import until
from tests.operator.fake_api import FakeApi
from tests.operator.view_examples import Released
from tidegate.__main__ import main
from tidegate.cli.common.where import Where
from tidegate.cli.status.screen import tree_text
from tidegate.kube.api import CONTROLLER_REVISIONS, MODEL_DEPLOYMENTS, PODS
from tidegate.view.rollout_view import RolloutView

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tidegate(place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command; exit code, stdout and stderr."""
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, "--kubeconfig", str(place)])
        return code, *capsys.readouterr()

    return run


def put(fake: FakeApi, released: Released) -> None:
    fake.put(MODEL_DEPLOYMENTS, released.manifest)
    for pod in released.pods:
        fake.put(PODS, pod)


def named(released: Released, name: str, namespace: str = "shop") -> dict[str, Any]:
    """The same model under another name."""
    manifest = released.manifest
    return {**manifest, "metadata": {**manifest["metadata"], "name": name, "namespace": namespace}}


def test_get_lists_the_models_of_the_contexts_namespace(tidegate: Run, fake: FakeApi, rolled_back: Released) -> None:
    fake.put(MODEL_DEPLOYMENTS, rolled_back.manifest)
    fake.put(MODEL_DEPLOYMENTS, named(rolled_back, "letters", "elsewhere"))
    code, out, err = tidegate("get")

    heading, row = (line.split() for line in out.splitlines())
    assert (code, err) == (0, "")
    assert heading == ["NAME", "STABLE", "CANDIDATE", "WEIGHT", "STEP", "STATUS", "AGE"]
    assert row[:3] == ["digits", rolled_back.world.status["stable"]["revision"], "RolledBack"]


def test_get_of_all_namespaces_names_them(tidegate: Run, fake: FakeApi, rolled_back: Released) -> None:
    fake.put(MODEL_DEPLOYMENTS, rolled_back.manifest)
    fake.put(MODEL_DEPLOYMENTS, named(rolled_back, "letters", "elsewhere"))
    _, out, _ = tidegate("get", "-A")

    assert [line.split()[:2] for line in out.splitlines()[1:]] == [["elsewhere", "letters"], ["shop", "digits"]]


def test_get_wide_has_the_statuss_sentence(tidegate: Run, fake: FakeApi, rolled_back: Released) -> None:
    fake.put(MODEL_DEPLOYMENTS, rolled_back.manifest)

    assert tidegate("get", "digits", "-o", "wide")[1].splitlines()[1].endswith(rolled_back.world.status["message"])


def test_get_reads_many_models_page_by_page(tidegate: Run, fake: FakeApi, rolled_back: Released) -> None:
    for number in range(600):
        fake.put(MODEL_DEPLOYMENTS, named(rolled_back, f"m{number}"))
    _, out, _ = tidegate("get", "-o", "name")

    assert len(out.splitlines()) == 600
    assert out.startswith("modeldeployment.tidegate.dev/m0\n")
    assert [asked.query.get("continue") for asked in fake.asked] == [None, "250", "500"]


@pytest.mark.parametrize(("output", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_get_as_a_document_is_the_object(
    output: str, read: Callable[[str], Any], tidegate: Run, fake: FakeApi, rolled_back: Released
) -> None:
    stored = fake.put(MODEL_DEPLOYMENTS, rolled_back.manifest)

    assert read(tidegate("get", "digits", "-o", output)[1]) == stored
    assert read(tidegate("get", "-o", output)[1]) == {"apiVersion": "v1", "kind": "List", "items": [stored]}


def test_history_lists_revisions_and_how_rollouts_ended(tidegate: Run, fake: FakeApi, rolled_back: Released) -> None:
    put(fake, rolled_back)
    for revision in rolled_back.revisions:
        fake.put(CONTROLLER_REVISIONS, revision)
    code, out, _ = tidegate("history", "digits")
    kept, rollouts = (block.splitlines() for block in out.split("\n\n"))

    assert code == 0
    assert [line.split()[0] for line in kept] == ["REVISION", "2", "1"]
    assert "rolled back" in kept[1]
    assert "stable" in kept[2]
    assert rollouts[1].split()[:3] == ["1", rolled_back.world.status["rejected"]["revision"], "RolledBack"]
    assert rollouts[2] == f"  ErrorRateWorse: {rolled_back.world.status['history'][0]['message']}"
    assert json.loads(tidegate("history", "digits", "-o", "json")[1])["revisions"][0]["revision"] == 2


def test_without_models_get_says_where_there_are_none(tidegate: Run) -> None:
    assert tidegate("get") == (0, "", "there is no ModelDeployment in the namespace shop\n")


def test_a_model_that_is_odd_does_not_hide_the_others(tidegate: Run, fake: FakeApi, rolled_back: Released) -> None:
    fake.put(
        MODEL_DEPLOYMENTS, {"metadata": {"namespace": "shop", "name": "odd"}, "status": {"stable": "?", "history": 3}}
    )
    fake.put(MODEL_DEPLOYMENTS, rolled_back.manifest)

    assert [line.split()[0] for line in tidegate("get")[1].splitlines()] == ["NAME", "digits", "odd"]


def test_a_model_that_is_not_there_is_told_with_those_that_are(
    tidegate: Run, fake: FakeApi, rolled_back: Released
) -> None:
    fake.put(MODEL_DEPLOYMENTS, rolled_back.manifest)
    sentence = "there is no ModelDeployment digit in the namespace shop; there are digits\n"

    assert tidegate("status", "digit") == (1, "", f"tidegate status: {sentence}")


@pytest.mark.parametrize(
    ("status", "said", "sentence"),
    [
        (403, "User alice cannot list it", "you have no right to: User alice cannot list it"),
        (401, "Unauthorized", "the API server doesn't know you: Unauthorized; log in again"),
        (404, "could not find the resource", "is Tidegate installed there?"),
        (500, "etcd is away", "can't be listed: etcd is away"),
    ],
)
def test_what_the_api_server_refuses_is_one_sentence(
    status: int, said: str, sentence: str, tidegate: Run, fake: FakeApi
) -> None:
    fake.refusals["GET", "modeldeployments"] = (status, said)
    code, out, err = tidegate("get")

    assert (code, out) == (1, "")
    assert sentence in err
    assert err.count("\n") == 1


def test_status_shows_the_sentence_the_evidence_the_pods_and_the_history(
    tidegate: Run, fake: FakeApi, spec_schema: Mapping[str, Any]
) -> None:
    halfway = Released(spec_schema).release("failing", 200).release("2", 40)
    put(fake, halfway)
    code, out, err = tidegate("status", "digits")
    lines = out.splitlines()

    assert (code, err) == (0, "")
    assert lines[0].startswith("shop/digits  Canary  step 2/3, ")
    assert lines[1] == halfway.world.status["message"]
    assert "steps                ✔ 10%  ▶ 25%  · 50%  · 100%" in lines
    assert "weight     wanted    ━━━━━━──────────────────  25 %" in lines
    assert "           promotion ━━━━━━━━━━━━━━━━────────  2.2 (threshold 3.3)" in lines
    assert any(line.startswith("└── ✔ digits-") and "Running  0 restarts" in line for line in lines)
    assert any("RolledBack" in line and "ErrorRateWorse  10/50 failed" in line for line in lines)
    assert "\033" not in out


def test_a_terminal_of_eighty_columns_breaks_no_line_but_sentences(halfway: Released) -> None:
    view = RolloutView.of(halfway.manifest, halfway.pods)
    text = tree_text(view, halfway.now, Terminal(), [], colour=False)

    assert max(map(len, text.splitlines())) <= 80
    assert view.message in " ".join(text.split())


def test_own_queries_are_shown_with_what_they_have_come_to(spec_schema: Mapping[str, Any]) -> None:
    query = {"name": "accuracy", "query": "right{revision='{{candidate}}'}", "min": "0.5", "dryRun": True}
    released = Released(spec_schema, analysis={"queries": [query]}).release("2", 3)
    released.world.own_series[f"right{{revision='{released.world.status['rollout']['candidate']}'}}"] = [0.1]
    released.world.run(20)

    text = tree_text(RolloutView.of(released.manifest), released.now, Terminal(), [], colour=False)
    (line,) = (line for line in text.splitlines() if line.startswith("query"))
    assert line == "query      accuracy Failed (dry run): gives 0.1, below the least that is"


def test_what_stops_nothing_is_shown_beside_the_evidence(halfway: Released) -> None:
    said = {"status": "True", "reason": "InputsDiffer", "message": "age up to 40 in 90%"}
    times = {"lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}
    manifest = copy.deepcopy(halfway.manifest)
    manifest["status"]["conditions"].append({"type": "InputCaution", **said, **times})

    text = tree_text(RolloutView.of(manifest), halfway.now, Terminal(), [], colour=False)
    assert "caution    age up to 40 in 90%" in text.splitlines()


def test_colours_are_for_terminals(halfway: Released) -> None:
    view = RolloutView.of(halfway.manifest, halfway.pods)

    assert "\033[" in tree_text(view, halfway.now, Terminal(), [], colour=True)


def test_a_terminal_without_unicode_gets_plain_signs(halfway: Released) -> None:
    view = RolloutView.of(halfway.manifest, halfway.pods)

    assert tree_text(view, halfway.now, Ascii(), [], colour=False).isascii()


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Ascii(Terminal):
    encoding = "ascii"


@pytest.fixture
def halfway(spec_schema: Mapping[str, Any]) -> Released:
    return Released(spec_schema).release("2", 40)


def test_who_may_not_list_pods_sees_the_rest(tidegate: Run, fake: FakeApi, rolled_back: Released) -> None:
    put(fake, rolled_back)
    fake.refusals["GET", "pods"] = (403, "no")
    code, out, _ = tidegate("status", "digits")

    assert code == 0
    assert "the Pods in shop can't be listed: you have no right to: no" in out
    assert rolled_back.world.status["message"] in out


def test_status_as_a_document_is_the_view(tidegate: Run, fake: FakeApi, rolled_back: Released) -> None:
    put(fake, rolled_back)

    view = RolloutView.of(rolled_back.manifest, rolled_back.pods)
    assert json.loads(tidegate("status", "digits", "-o", "json")[1]) == view.to_dict()


@pytest.mark.parametrize("releases", [[], [("failing", 200)], [("2", 400)]], ids=["live", "rolled back", "promoted"])
def test_every_command_tells_the_statuss_one_sentence(
    releases: list[tuple[str, float]], tidegate: Run, fake: FakeApi, spec_schema: Mapping[str, Any]
) -> None:
    released = Released(spec_schema)
    for model, seconds in releases:
        released.release(model, seconds)
    put(fake, released)
    sentence = released.world.status["message"]

    assert sentence in {each["message"] for each in released.world.status["conditions"]}
    assert tidegate("get", "-o", "wide")[1].splitlines()[1].endswith(f"  {sentence}")
    assert tidegate("status")[1].splitlines()[1] == f"  {sentence}"
    assert tidegate("status", "digits")[1].splitlines()[1] == sentence
    assert tidegate("status", "digits", "--wait")[1].endswith(f": {sentence}\n")
    assert json.loads(tidegate("status", "digits", "-o", "json")[1])["message"] == sentence


def test_status_without_a_name_has_each_models_sentence(tidegate: Run, fake: FakeApi, rolled_back: Released) -> None:
    put(fake, rolled_back)

    assert tidegate("status")[1] == f"shop/digits  RolledBack\n  {rolled_back.world.status['message']}\n"


@pytest.mark.parametrize(
    ("model", "code"), [pytest.param("2", 0, id="promoted"), pytest.param("failing", 1, id="rolled back")]
)
def test_waiting_ends_with_the_outcome(
    model: str, code: int, tidegate: Run, fake: FakeApi, spec_schema: Mapping[str, Any]
) -> None:
    released = Released(spec_schema).release(model, 5)
    fake.put(MODEL_DEPLOYMENTS, released.manifest)

    def go_on() -> None:
        until(lambda: any("watch" in asked.query for asked in fake.asked))
        released.world.run(400)
        fake.put(MODEL_DEPLOYMENTS, released.manifest)

    thread = threading.Thread(target=go_on)
    thread.start()
    ended, out, err = tidegate("status", "digits", "--wait", "--timeout", "60s")
    thread.join()

    assert ended == code
    assert out == f"shop/digits {released.world.status['phase']}: {released.world.status['message']}\n"
    assert len(err.splitlines()) == 2


def test_waiting_for_a_version_is_not_ended_by_the_one_before(
    tidegate: Run, fake: FakeApi, spec_schema: Mapping[str, Any]
) -> None:
    released = Released(spec_schema)
    fake.put(MODEL_DEPLOYMENTS, released.manifest)

    def go_on() -> None:
        until(lambda: any("watch" in asked.query for asked in fake.asked))
        released.release("2", 400)
        fake.put(MODEL_DEPLOYMENTS, released.manifest)

    thread = threading.Thread(target=go_on)
    thread.start()
    ended, out, _ = tidegate("status", "digits", "--wait", "--for", "2", "--timeout", "60s")
    thread.join()

    assert (ended, out) == (0, f"shop/digits Live: {released.world.status['message']}\n")


def test_waiting_for_a_version_that_does_not_come_says_what_is_meant(
    tidegate: Run, fake: FakeApi, spec_schema: Mapping[str, Any]
) -> None:
    fake.put(MODEL_DEPLOYMENTS, Released(spec_schema).manifest)
    code, out, err = tidegate("status", "digits", "--wait", "--for", "2", "--timeout", "1s")

    assert (code, out.startswith("shop/digits Live: ")) == (124, True)
    said = "shop/digits doesn't mean 2 yet, but http://models/1, after the --timeout"
    assert err.splitlines()[-1] == f"tidegate status: {said}"


def test_waiting_has_an_end(tidegate: Run, fake: FakeApi, halfway: Released) -> None:
    fake.put(MODEL_DEPLOYMENTS, halfway.manifest)
    code, out, err = tidegate("status", "digits", "--wait", "--timeout", "1s")

    assert code == 124
    assert out.startswith("shop/digits Canary: ")
    assert err.splitlines()[-1] == "tidegate status: shop/digits is still under way after the --timeout"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--wait", "digits", "--timeout", "soon"], "'soon' is not a duration such as 90s, 2m or 1h30m"),
        (["--wait"], "NAME is missing"),
        (["digits", "--for", "8"], "--for says what to wait for: give --wait too"),
        (["--watch"], "NAME is missing"),
    ],
)
def test_a_command_line_that_makes_no_sense_ends_with_two(arguments: list[str], why: str, tidegate: Run) -> None:
    code, _, err = tidegate("status", *arguments)

    assert code == 2
    assert why in err


def test_watching_tells_each_change_once_and_ends_with_the_model(
    tidegate: Run, fake: FakeApi, spec_schema: Mapping[str, Any]
) -> None:
    released = Released(spec_schema).release("failing", 20)
    put(fake, released)

    def go_on() -> None:
        until(lambda: sum("watch" in asked.query for asked in fake.asked) == 2)
        released.world.run(200)
        fake.put(MODEL_DEPLOYMENTS, released.manifest)
        time.sleep(0.2)
        fake.remove(MODEL_DEPLOYMENTS, "shop", "digits")

    thread = threading.Thread(target=go_on)
    thread.start()
    code, out, err = tidegate("status", "digits", "--watch")
    thread.join()

    assert (code, err) == (1, "tidegate status: shop/digits has been deleted\n")
    assert out.splitlines()[-1].endswith(released.world.status["message"])
    assert len(out.splitlines()) <= 3


def test_a_watch_that_breaks_is_begun_anew(fake: FakeApi, place: Path, halfway: Released) -> None:
    from tidegate.cli.common.cluster import open_cluster
    from tidegate.cli.status.following import Following

    put(fake, halfway)
    fake.refusals["GET", "modeldeployments"] = (503, "starting")
    with Following(open_cluster(Where(kubeconfig=str(place))), "digits") as following:
        (note,) = until(lambda: following.next(0.2).notes)
        del fake.refusals["GET", "modeldeployments"]
        until(lambda: following.next(0.2).model and not following.next(0).notes)

    assert note.endswith("the modeldeployments can't be read, so they are shown as they were: starting")


def test_a_span_is_as_kubectl_has_it() -> None:
    from tidegate.cli.common.ages import span

    spans = {
        71: "71s",
        312: "5m12s",
        600: "10m",
        7000: "116m",
        12000: "3h20m",
        90000: "25h",
        187200: "2d4h",
        864000: "10d",
    }
    assert {seconds: span(timedelta(seconds=seconds)) for seconds in spans} == spans
