"""A gate that is a Job: made once for each question, looked at until it has ended, gone when nobody asks any more."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from tidegate.errors import ClusterUnavailable, WriteRefused
from tidegate.gates.job import LOOK_EACH, UNANSWERED, JobGates
from tidegate.gates.review import Question
from tidegate.kube.api import JOBS, PODS, Manifest, Resource
from tidegate.model.agreement import AgreementCheck, RequestSamples, agreement_gate
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
    said: str | ClusterUnavailable = ""
    """What their pods leave behind."""

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

    def list(self, resource: Resource, namespace: str | None, selector: str | None) -> Manifest:
        assert (resource, namespace) == (PODS, "shop")
        if isinstance(self.said, ClusterUnavailable):
            raise self.said
        (name,) = [each for each in self.found if selector == f"job-name={each}"]
        state = {"terminated": {"exitCode": 1, "message": self.said}} if self.said else {"running": {}}
        return {"items": [{"metadata": {"name": name}, "status": {"containerStatuses": [{"state": state}]}}]}

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


COMPARED = Question(
    "agreement/1/1",
    agreement_gate(AgreementCheck(), RequestSamples("samples")),
    b"{}",
    "digits",
    "u-1",
    "digits-b",
    STARTED,
    "digits-a",
)


@pytest.mark.parametrize(
    ("reason", "allowed", "said", "again"),
    [
        ("PodFailurePolicy", False, "failed (PodFailurePolicy)", timedelta(minutes=5)),
        ("BackoffLimitExceeded", None, "came to no answer (BackoffLimitExceeded)", None),
        ("DeadlineExceeded", None, "came to no answer (DeadlineExceeded)", None),
    ],
    ids=["a no", "another exit code", "too long"],
)
def test_a_comparison_that_could_not_be_made_is_no_no(
    reason: str, allowed: bool | None, said: str, again: timedelta | None
) -> None:
    jobs = Jobs()
    gates = JobGates(jobs, own_image="tidegate/operator:1")
    gates.ask("shop", "id", COMPARED, 1)
    (name,) = jobs.found
    jobs.end(name, "Failed", reason)

    sentence = f"the Job {name} {said}: see kubectl logs job/{name}"
    assert gates.ask("shop", "id", COMPARED, 1) == GateAnswer(allowed, sentence, again)


POD_TEMPLATE = {
    "serviceAccountName": "models",
    "imagePullSecrets": [{"name": "registry"}],
    "nodeSelector": {"gpu": "yes"},
}


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        pytest.param(
            COMPARED,
            {"serviceAccountName": "models", "imagePullSecrets": [{"name": "registry"}]},
            id="the operator's image is pulled as the model's is",
        ),
        pytest.param(question(), {}, id="an image of the user's is pulled as its own gate says"),
    ],
)
def test_who_pulls_the_image(asked: Question, given: dict[str, Any]) -> None:
    jobs = Jobs()
    JobGates(jobs, own_image="tidegate/operator:1").ask("shop", "id", asked._replace(pod_template=POD_TEMPLATE), 1)
    (job,) = jobs.found.values()
    pod = job["spec"]["template"]["spec"]

    assert {name: pod[name] for name in POD_TEMPLATE if name in pod} == given
    assert pod["automountServiceAccountToken"] is False


def test_a_comparison_that_an_older_operator_began_says_no_by_its_own_exit_code() -> None:
    jobs = Jobs()
    assert COMPARED.gate.job is not None
    older = replace(COMPARED.gate, job=replace(COMPARED.gate.job, refusal_codes=(1,)))
    gates = JobGates(jobs, own_image="tidegate/operator:1")
    gates.ask("shop", "id", COMPARED._replace(gate=older), 1)
    (name,) = jobs.found
    jobs.end(name, "Failed", "PodFailurePolicy")

    sentence = f"the Job {name} failed (PodFailurePolicy): see kubectl logs job/{name}"
    assert gates.ask("shop", "id", COMPARED, 1) == GateAnswer(False, sentence, timedelta(minutes=5))


def test_an_operator_that_is_not_told_its_image_says_so() -> None:
    assert ask(Jobs(), COMPARED) == GateAnswer(
        None, "the operator isn't told its own image: set TIDEGATE_OPERATOR_IMAGE as the chart does"
    )


@pytest.mark.parametrize(
    ("kind", "said", "message"),
    [
        ("Failed", "accuracy 91%,\n95% wanted", f"the Job {NAME} failed (): accuracy 91%, 95% wanted"),
        ("Complete", "accuracy 97%", f"the Job {NAME} has succeeded: accuracy 97%"),
        ("Failed", ClusterUnavailable("away"), f"the Job {NAME} failed (): see kubectl logs job/{NAME}"),
    ],
    ids=["why not", "why", "its pods can't be looked at"],
)
def test_what_its_pod_leaves_behind_is_told(kind: str, said: str | ClusterUnavailable, message: str) -> None:
    jobs = Jobs(said=said)
    ask(jobs)
    jobs.end(NAME, kind, "x")

    answer = ask(jobs)
    assert isinstance(answer, GateAnswer)
    assert answer.message == message.replace("()", "(x)")


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
