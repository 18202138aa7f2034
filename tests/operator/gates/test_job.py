"""A gate that is a Job: made once for each question, looked at until it has ended, gone when nobody asks any more."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from tidegate.errors import ClusterUnavailable, WriteRefused
from tidegate.gates.job import LOOK_EACH, UNANSWERED, JobGates
from tidegate.gates.review import Question
from tidegate.kube.api import JOBS, Manifest, Resource
from tidegate.model.gate import GateAnswer, GateSpec
from tidegate.resources.gate_job import job_name

STARTED = "2026-01-01T11:55:00Z"
JOB = {"image": "registry.example.com/tests:1", "command": ["pytest"], "env": [{"name": "SUITE", "value": "quick"}]}
GATE = GateSpec.parse({"name": "tests", "at": "Promotion", "job": JOB})
NAME = job_name("digits-b", "tests/3/1", STARTED)


def question(number: int = 1, uid: str = "u-1") -> Question:
    return Question(f"tests/3/{number}", GATE, b"{}", "digits", uid, "digits-b", STARTED, "digits-a")


@dataclass
class Jobs:
    """An API server with Jobs."""

    found: dict[str, Manifest] = field(default_factory=dict)
    failure: ClusterUnavailable | None = None
    calls: list[str] = field(default_factory=list)

    def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        assert (resource, namespace) == (JOBS, "shop")
        self.calls.append("get")
        if self.failure:
            raise self.failure
        return self.found.get(name)

    def create(self, resource: Resource, manifest: Mapping[str, Any]) -> Manifest | None:
        self.calls.append("create")
        made = self.found[manifest["metadata"]["name"]] = copy.deepcopy(dict(manifest))
        return made

    def delete(self, resource: Resource, namespace: str, name: str, uid: str | None = None) -> None:
        self.calls.append("delete")
        self.found.pop(name, None)

    def end(self, name: str, kind: str, reason: str = "") -> None:
        self.found[name]["status"] = {
            "conditions": [
                {"type": "SuccessCriteriaMet", "status": "True"},
                {"type": kind, "status": "True", "reason": reason},
            ]
        }


def ask(jobs: Jobs, asked: Question | None = None) -> GateAnswer | float:
    return JobGates(jobs).ask("shop", "id", asked or question(), 1)


def test_a_job_is_made_once_and_looked_at_until_it_has_succeeded() -> None:
    jobs = Jobs()

    assert [ask(jobs), ask(jobs)] == [LOOK_EACH, LOOK_EACH]
    assert (list(jobs.found), jobs.calls) == ([NAME], ["get", "create", "get"])
    jobs.end(NAME, "Complete")
    assert ask(jobs) == GateAnswer(True, f"the Job {NAME} has succeeded")


def test_a_job_that_fails_says_where_its_log_is() -> None:
    jobs = Jobs()
    ask(jobs)
    jobs.end(NAME, "Failed", "BackoffLimitExceeded")

    sentence = f"the Job {NAME} failed (BackoffLimitExceeded): see kubectl logs job/{NAME}"
    assert ask(jobs) == GateAnswer(False, sentence, timedelta(minutes=5))


def test_each_question_has_a_job_of_its_own_and_a_restart_finds_it() -> None:
    jobs = Jobs()
    ask(jobs)
    ask(jobs, question(2))
    ask(jobs)

    assert len(jobs.found) == 2


def test_a_job_of_somebody_else_is_left_alone() -> None:
    jobs = Jobs()
    ask(jobs)

    assert ask(jobs, question(uid="u-2")) == GateAnswer(
        None, f"a Job named {NAME} is there that isn't this gate's: delete it"
    )


@pytest.mark.parametrize(
    ("failure", "answer"),
    [
        (ClusterUnavailable("away"), UNANSWERED),
        (ClusterUnavailable("slow down", 429, 30.0), 30.0),
        (
            WriteRefused("no", 403, None, "jobs.batch is forbidden"),
            GateAnswer(None, "the operator may not make Jobs: the chart's value jobGates.enabled allows it"),
        ),
        (
            WriteRefused("no", 403, None, "exceeded quota: jobs"),
            GateAnswer(None, f"the API server refuses the Job {NAME}: exceeded quota: jobs"),
        ),
        (
            WriteRefused("no", 422, None, "image: Required value"),
            GateAnswer(None, f"the API server refuses the Job {NAME}: image: Required value"),
        ),
    ],
)
def test_what_the_api_server_says_against_it_is_told(failure: ClusterUnavailable, answer: GateAnswer | float) -> None:
    assert ask(Jobs(failure=failure)) == answer


def test_a_job_goes_when_its_question_does() -> None:
    jobs = Jobs()
    ask(jobs)
    JobGates(jobs).withdraw("shop", "id", question())

    assert jobs.found == {}


def test_its_pods_are_nobodys_but_the_jobs_and_may_nothing() -> None:
    jobs = Jobs()
    ask(jobs)
    job = jobs.found[NAME]
    pod = job["spec"]["template"]

    assert pod["metadata"]["labels"] == {"tidegate.dev/gate": "tests"}
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert (job["spec"]["activeDeadlineSeconds"], job["spec"]["ttlSecondsAfterFinished"]) == (600, 3600)
    assert {each["name"]: each["value"] for each in pod["spec"]["containers"][0]["env"]} == {
        "SUITE": "quick",
        "TIDEGATE_REVIEW": "{}",
        "TIDEGATE_CANDIDATE": "digits-b",
        "TIDEGATE_CANDIDATE_URL": "http://digits-b.shop.svc:8080",
        "TIDEGATE_STABLE_URL": "http://digits-a.shop.svc:8080",
    }


@pytest.mark.parametrize("revision", ["a-12345678", "a" * 50 + "-12345678"])
def test_a_jobs_name_fits_into_a_label(revision: str) -> None:
    assert len(job_name(revision, "tests/3/1", STARTED)) <= 63
