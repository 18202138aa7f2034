"""Users who stay, a group that meets a new model first, and one for whom alone it is worse: on a real cluster."""

import http.client
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.controls.phases import says
from tests.controls.scene import SOON_CONTENT
from tests.controls.timing import ask
from tests.e2e.stage import Stage
from tidegate.model.control import Control
from tidegate_demo.models import Models
from tidegate_demo.records import Outcome

pytestmark = pytest.mark.controls

USERS = {name: {"x-user": name} for name in (f"user-{number}@example.org" for number in range(200))}
PAUSE = 0.01
ASKED = 60
BETA = {"x-team": "beta"}
ADMITTED: dict[str, Any] = {"match": [{"headers": [{"name": "x-team", "exact": "beta"}]}], "approval": "Required"}
STEPS_FOR_USERS = {"canary": {"steps": [{"weight": 5}, {"weight": 25}, {"weight": 50}]}}
ACME = {"x-tenant": "acme"}
SLICED: dict[str, Any] = {
    **SOON_CONTENT,
    "errorRate": {"tolerate": {"absolute": "5%"}, "accept": {"absolute": "10%"}, "ceiling": "50%"},
    "slices": [{"name": "tenant", "header": "X-Tenant", "values": ["acme", "umbrella"]}],
}
HALF = {"canary": {"steps": [{"weight": 50, "minDuration": "30s"}]}}
STEPS_FOR_A_GROUP = {"canary": {"steps": [ADMITTED, {"weight": 50}]}}


class Client:
    """Over one kept connection; always about one image, the first if nobody says."""

    def __init__(self, stage: Stage, image: Sequence[float] | None = None) -> None:
        router = urlsplit(stage.router)
        self._connection = http.client.HTTPConnection(router.hostname or "", router.port or 80, timeout=10)
        self._host, self._body = stage.host, json.dumps({"inputs": [list(image or stage.models.images[0])]})

    def ask(self, **headers: str) -> str:
        """The revision that answered, if only with its model's own error."""
        named = {"Host": self._host, "Content-Type": "application/json", **headers}
        self._connection.request("POST", "/predict", body=self._body, headers=named)
        response = self._connection.getresponse()
        said = response.read()
        revision = response.headers["x-tidegate-served-by"]
        assert revision, said
        return str(revision)

    def close(self) -> None:
        self._connection.close()


@contextmanager
def asking(
    stage: Stage, users: Mapping[str, Mapping[str, str]], *, image: Sequence[float] | None = None, pause: float = PAUSE
) -> Iterator[dict[str, list[str]]]:
    """Each user in turn by its headers, while inside; the revisions that answered each, in order."""
    answered: dict[str, list[str]] = defaultdict(list)
    ended, client, faults = threading.Event(), Client(stage, image), list[BaseException]()

    def go_round() -> None:
        try:
            while not ended.is_set():
                for user, headers in users.items():
                    answered[user].append(client.ask(**headers))
                    ended.wait(pause)
        except (OSError, http.client.HTTPException, AssertionError) as fault:
            faults.append(fault)

    thread = threading.Thread(target=go_round)
    thread.start()
    try:
        yield answered
    finally:
        ended.set()
        thread.join()
        client.close()
    assert faults == []


def test_no_user_goes_back_in_a_canary_that_is_promoted(stage: Stage) -> None:
    stage.traffic = {"sticky": {"header": "x-user"}}
    stage.go_live("v2", strategy=STEPS_FOR_USERS, analysis=SOON_CONTENT)
    with asking(stage, USERS) as answered:
        stage.apply("v5", strategy=STEPS_FOR_USERS, analysis=SOON_CONTENT)
        ended = stage.until_ended("Promoted", seconds=420)["history"][0]
        stage.settled()

    moves = Counter(_moves(seen) for seen in answered.values())
    assert moves == {1: len(USERS)}, "each user goes over once, and none goes back"
    assert {seen[-1] for seen in answered.values()} == {ended["revision"]}


def _moves(seen: Sequence[str]) -> int:
    return sum(before != after for before, after in pairwise(seen))


def test_a_group_meets_the_candidate_first_and_nobody_else_does(stage: Stage) -> None:
    stage.go_live("v2", strategy=STEPS_FOR_A_GROUP, analysis=SOON_CONTENT)
    stable = stage.note()["stable"]["revision"]
    with stage.loaded() as load, asking(stage, {"beta": BETA}) as answered:
        stage.apply("v5", strategy=STEPS_FOR_A_GROUP, analysis=SOON_CONTENT)
        status = stage.until("the step waits for approval", says("WaitingForApproval"))
        candidate = status["candidate"]["revision"]
        load.read_more()
        assert {request.revision for request in load.requests} == {stable}
        assert set(answered["beta"][-ASKED:]) == {candidate}

        ask(stage, Control.APPROVE, candidate, 1)
        stage.until_ended("Promoted", seconds=300)
    stage.nothing_lost(load)
    assert load.requests[-1].revision == answered["beta"][-1] == candidate


def test_a_model_that_is_worse_for_one_tenant_alone_goes_back(stage: Stage) -> None:
    failing = stage.models.images[stage.models.versions["v3"].answers.index(None)]
    stage.models = _without_what_fails(stage.models, "v3")
    stage.go_live("v2", strategy=HALF, analysis=SLICED)
    with stage.loaded(rate=200.0) as load, asking(stage, {"acme": ACME}, image=failing, pause=0.2):
        stage.apply("v3", strategy=HALF, analysis=SLICED)
        ended = stage.until_ended("RolledBack")["history"][0]
        stage.settled()

    outcomes = stage.nothing_lost(load)
    assert outcomes[Outcome.MODEL_ERROR] == [], "no other tenant has noticed"
    assert ended["reason"] == "SliceWorse"
    assert "slice tenant, acme: " in ended["message"]


def _without_what_fails(models: Models, version: str) -> Models:
    """The images that a version answers, and what each version answers to them."""
    kept = [number for number, answer in enumerate(models.versions[version].answers) if answer is not None]
    versions = {
        name: replace(each, answers=tuple(each.answers[number] for number in kept))
        for name, each in models.versions.items()
    }
    images = tuple(models.images[number] for number in kept)
    return Models(versions, images, tuple(models.labels[number] for number in kept))
