"""The story as a whole, in a world that does as it is told: what is applied, when the load runs, what is killed."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from typing_extensions import override

from tests.demo.servers import http_answer, http_server
from tidegate_demo import place, story
from tidegate_demo.chapters import CHAPTERS, Broken, Kept, Waiting
from tidegate_demo.kubectl import Kubectl, Watch, watch_events
from tidegate_demo.models import VERSIONS, DemoModel, Models
from tidegate_demo.panel import SeenEvent, View, draw
from tidegate_demo.report import report_on
from tidegate_demo.seen import Seen, SeenRevision
from tidegate_demo.story import Story, Telling, manifest
from tidegate_demo.teller import PlainTeller, teller
from tidegate_demo.watch import Sight

IMAGES = 3
FAILURES = 3
Json = dict[str, Any]


def the_models() -> Models:
    def model(version: str) -> DemoModel:
        return DemoModel(version, "always says 5", Path("x"), "0" * 64, 0.9, 0.0, (5,) * IMAGES)

    return Models({version: model(version) for version in VERSIONS}, ((1.0,) * 64,) * IMAGES, (5,) * IMAGES)


@dataclass(frozen=True)
class World(Kubectl):
    """A cluster that decides at once. It promotes v6 only when its operator has been killed."""

    sight: list[Sight] = field(default_factory=list)
    commands: list[tuple[str, ...]] = field(default_factory=list)
    body: Json = field(default_factory=lambda: {"metadata": {"generation": 0}, "status": {}})
    failures: list[int] = field(default_factory=list)
    promotes: tuple[str, ...] = ("v2", "v5")

    @override
    def apply(self, manifest: str) -> str:
        wanted = yaml.safe_load(manifest)
        if wanted["kind"] == "ModelDeployment":
            self.body["metadata"]["generation"] += 1
            self.decide(wanted["spec"]["model"]["uri"])
        return f"{wanted['kind']} applied"

    @override
    def run(self, *arguments: str, stdin: str = "") -> str:
        self.commands.append(arguments)
        if arguments[0] == "get":
            return str(self.body["metadata"]["generation"])
        if arguments[:2] == ("delete", "pod"):
            self.end(self.body["status"]["candidate"], "Promoted", "EvidenceSuffices")
        return ""

    def decide(self, uri: str) -> None:
        version = uri.rsplit("-", 1)[-1].removesuffix(".onnx")
        revision = {"revision": f"digits-{version}", "readyReplicas": 2, "model": {"uri": uri}}
        status = self.body["status"]
        status["observedGeneration"] = self.body["metadata"]["generation"]
        status["conditions"] = [{"type": "Ready", "status": "True", "message": "serving"}]
        if version == "v1":
            status["stable"] = revision
        status["candidate"] = revision
        status["traffic"] = {"candidate": 25}
        self.tell()
        if version in self.promotes:
            self.end(revision, "Promoted", "EvidenceSuffices")
        if version == "v3":
            self.failures.extend(range(FAILURES))
        if version in ("v3", "v4"):
            self.end(revision, "RolledBack", "ErrorRateWorse" if version == "v3" else "LatencyWorse")

    def end(self, revision: Json, outcome: str, reason: str) -> None:
        status = self.body["status"]
        if outcome == "Promoted":
            status["stable"] = revision
        entry = {"revision": revision["revision"], "outcome": outcome, "reason": reason, "message": "it ended"}
        status["history"] = [entry, *status.get("history", [])]
        status["candidate"] = status["traffic"] = None
        self.tell()

    def tell(self) -> None:
        self.sight[0].take_object("MODIFIED", json.loads(json.dumps(self.body)))

    def answer(self, number: int, path: str) -> bytes:
        if self.failures:
            self.failures.pop()
            return http_answer(500, '{"error": "index out of range"}', "digits-v3")
        return http_answer(200, '{"outputs": {"label": [5]}}', self.body["status"]["stable"]["revision"])


def tell(folder: Path, world: World, said: io.StringIO, port: int) -> Telling:
    world.sight.append(Sight(world, place.NAMESPACE, place.NAME))
    with teller(Console(file=said, width=200)) as telling_it:
        return Story(
            world,
            world.sight[0],
            the_models(),
            telling_it,
            files="198.18.0.1:8480",
            router=f"http://127.0.0.1:{port}",
            folder=folder,
        ).tell()


@pytest.fixture(autouse=True)
def short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "REST_SECONDS", 0.8)


def test_a_story_that_goes_well_is_told_to_its_end(tmp_path: Path) -> None:
    world, said = World(tmp_path / "kubeconfig"), io.StringIO()
    with http_server(world.answer) as port:
        telling = tell(tmp_path, world, said, port)
    report = report_on(telling, the_models())
    assert [(told.chapter.version, told.kept, told.revision) for told in telling.told] == [
        (version, True, f"digits-{version}") for version in VERSIONS
    ]
    assert [check for check in report.checks if not check.passed] == []
    assert report.faulty is not None
    assert report.faulty.bad == FAILURES
    assert "killing the operator while the candidate has 25 %" in said.getvalue()
    assert "uri: http://198.18.0.1:8480/digits-v3.onnx" in said.getvalue()


def test_the_operators_pods_are_killed_once_without_grace(tmp_path: Path) -> None:
    world = World(tmp_path / "kubeconfig")
    with http_server(world.answer) as port:
        tell(tmp_path, world, io.StringIO(), port)
    killings = [command for command in world.commands if command[:2] == ("delete", "pod")]
    assert len(killings) == 1
    assert {"--grace-period=0", "--force", place.OPERATOR_PODS} <= set(killings[0])


def test_a_broken_chapter_ends_the_story_and_the_load(tmp_path: Path) -> None:
    world, said = World(tmp_path / "kubeconfig", promotes=()), io.StringIO()

    def roll_back_v2() -> None:
        world.end(world.body["status"]["candidate"], "RolledBack", "LatencyWorse")

    with http_server(world.answer) as port:
        later = threading.Timer(2.5, roll_back_v2)
        later.start()
        telling = tell(tmp_path, world, said, port)
        later.join()
    assert [told.kept for told in telling.told] == [True, False]
    assert telling.told[1].sentence == "RolledBack, LatencyWorse: it ended"
    assert telling.requests
    assert not report_on(telling, the_models()).passed


def test_an_interrupted_story_stops_the_load_and_keeps_what_it_saw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path / "kubeconfig", promotes=())
    looks = iter(range(8))
    real = PlainTeller.show

    def show(self: PlainTeller, view: View, now: float) -> None:
        real(self, view, now)
        if next(looks, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr(PlainTeller, "show", show)
    with http_server(world.answer) as port:
        telling = tell(tmp_path, world, io.StringIO(), port)
    assert telling.interrupted
    assert [told.chapter.version for told in telling.told] == ["v1"]
    assert telling.requests


@pytest.mark.parametrize("version", VERSIONS)
def test_every_yaml_has_its_blanks_filled_in(version: str) -> None:
    made = yaml.safe_load(manifest(version, "198.18.0.1:8480", "a" * 64))
    assert made["metadata"] == {"name": place.NAME, "namespace": place.NAMESPACE}
    assert made["spec"]["model"] == {"uri": f"http://198.18.0.1:8480/digits-{version}.onnx", "sha256": "a" * 64}


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda event: json.dumps(event), id="one line each"),
        pytest.param(lambda event: json.dumps(event, indent=4), id="many lines each"),
    ],
)
def test_watched_objects_are_read_one_by_one(write: Callable[[Json], str]) -> None:
    events = [{"type": kind, "object": {"metadata": {"name": kind}}} for kind in ("ADDED", "DELETED")]
    printed = "\n".join(write(event) for event in events) + "\n"
    assert list(watch_events(io.StringIO(printed))) == [(event["type"], event["object"]) for event in events]


def test_how_a_watch_ended_is_no_object() -> None:
    ended = {"type": "ERROR", "object": {"kind": "Status", "status": "Failure", "message": "too old"}}
    made = {"type": "ADDED", "object": {"kind": "ModelDeployment", "metadata": {"name": "digits"}}}

    lines = iter([f"{json.dumps(ended)}\n", f"{json.dumps(made)}\n"])

    assert list(watch_events(lines)) == [("ADDED", made["object"])]


def test_a_watch_begins_again_when_kubectl_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate_demo.kubectl.AGAIN_SECONDS", 0.01)
    program = tmp_path / "kubectl"
    program.write_text('#!/bin/sh\necho \'{"type": "ADDED", "object": {}}\'\n')
    program.chmod(0o755)
    told = threading.Semaphore(0)
    with Watch(Kubectl(tmp_path, None, str(program)), ("pods",), lambda kind, seen: told.release()):
        assert all(told.acquire(timeout=10) for _ in range(3))


def test_a_namespace_begins_without_what_a_run_that_was_cut_short_has_left(tmp_path: Path) -> None:
    program, said = tmp_path / "kubectl", tmp_path / "said"
    program.write_text(f'#!/bin/sh\nshift 2\necho "$@" >> {said}\n[ "$1" = delete ] || cat >> {said}\n')
    program.chmod(0o755)

    with Kubectl(tmp_path, None, str(program)).namespace("e2e", {"team": "red"}):
        said.write_text(f"{said.read_text()}\ninside\n")

    assert said.read_text().splitlines() == [
        "delete namespace e2e --ignore-not-found --timeout=110s",
        "apply -f -",
        '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "e2e", "labels": {"team": "red"}}}',
        "inside",
        "delete namespace e2e --ignore-not-found --wait=false",
    ]


def test_events_are_told_once_each(tmp_path: Path) -> None:
    sight = Sight(Kubectl(tmp_path), "demo", "digits")
    event = {"metadata": {"uid": "1"}, "reason": "Promoted", "message": "v2", "lastTimestamp": "t", "type": "Normal"}
    for kind in ("ADDED", "MODIFIED"):
        sight.take_event(kind, event)
    assert sight.events == (SeenEvent("t", "Promoted", "v2"),)


def test_the_panel_shows_what_is_going_on() -> None:
    seen = Seen(
        generation=1,
        observed_generation=1,
        phase="Canary",
        progress="2/3",
        stable=SeenRevision("digits-a", "v1", 2),
        candidate=SeenRevision("digits-b", "v2", 1),
        weight=25,
        analysis="error rate 0.4% against 0.5%",
        worse="1 of 100",
        acceptable="8 of 20",
    )
    states = (Kept(""), Waiting(), Broken("no"), None, None, None)
    event = SeenEvent("2026-01-01T00:00:07Z", "StepPassed", "25 %", warning=True)
    view = View(
        tuple(zip(CHAPTERS, states, strict=True)),
        12.0,
        seen,
        observed={"digits-b": 0.24},
        events=(event,),
        note="killed",
    )
    console = Console(file=io.StringIO(), width=120)
    console.print(draw(view))
    assert isinstance(console.file, io.StringIO)
    drawn = console.file.getvalue()
    for words in (
        "✔ v1",
        "▶ v2",
        "✘ v3",
        "· v4",
        "75 %",
        "25 %",
        "24 %",
        "Canary 2/3",
        "8 of 20",
        "00:00:07",
        "killed",
    ):
        assert words in drawn
