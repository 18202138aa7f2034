"""A gate that is a Kubernetes Job: its success opens, its failure doesn't."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from tidegate.errors import ClusterUnavailable
from tidegate.gates.review import Question
from tidegate.kube.api import JOBS, Manifest, Resource
from tidegate.model.gate import GateAnswer
from tidegate.resources.gate_job import job_manifest
from tidegate.resources.ownership import Owner

LOOK_EACH = 2.0
"""Seconds from one look at a Job that runs to the next."""
UNANSWERED = 5.0
"""The same where the API server doesn't answer."""
RUN_AGAIN = timedelta(minutes=5)
"""After a Job that failed, where that holds the rollout."""
FORBIDDEN = 403
LONGEST_SENTENCE = 300


class Jobs(Protocol):
    """The API server, as far as it is needed here. Raises ClusterUnavailable."""

    def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None: ...
    def create(self, resource: Resource, manifest: Mapping[str, Any]) -> Manifest | None: ...
    def delete(self, resource: Resource, namespace: str, name: str, uid: str | None = None) -> None: ...


@dataclass(frozen=True)
class JobGates:
    """Makes one Job for each question, whose name is the question's: after a restart it is the same one."""

    api: Jobs
    fixed_ids: bool = True

    def known_by(self, namespace: str, question: Question) -> str:
        """One namespace's Jobs wait for one another, as looks at them."""
        return f"jobs in {namespace}"

    def ask(self, namespace: str, call_id: str, question: Question, tries: int) -> GateAnswer | float:
        """The answer once the Job has ended; until then, after how many seconds to look again."""
        manifest = self._manifest(namespace, question)
        name = manifest["metadata"]["name"]
        try:
            found = self.api.get(JOBS, namespace, name) or self.api.create(JOBS, manifest)
        except ClusterUnavailable as error:
            return _refused(name, error)
        if found is None:  # somebody else has just made it
            return LOOK_EACH
        if found["metadata"].get("ownerReferences", [{}])[0].get("uid") != question.uid:
            return GateAnswer(None, f"a Job named {name} is there that isn't this gate's: delete it")
        return _answer(name, found)

    def withdraw(self, namespace: str, call_id: str, question: Question) -> None:
        """The question is over before its Job was: that goes. Raises ClusterUnavailable."""
        self.api.delete(JOBS, namespace, self._manifest(namespace, question)["metadata"]["name"])

    def _manifest(self, namespace: str, question: Question) -> Manifest:
        owner = Owner(namespace, question.deployment, question.uid)
        about = ((question.stable, question.candidate), question.gate, question.id, question.started, question.body)
        return job_manifest(owner, *about, fixed_ids=self.fixed_ids)


def _answer(name: str, job: Mapping[str, Any]) -> GateAnswer | float:
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition.get("status") != "True":
            continue
        if condition.get("type") == "Complete":
            return GateAnswer(True, f"the Job {name} has succeeded")
        if condition.get("type") == "Failed":
            why = condition.get("reason") or "no reason given"
            return GateAnswer(False, f"the Job {name} failed ({why}): see kubectl logs job/{name}", RUN_AGAIN)
    return LOOK_EACH


def _refused(name: str, error: ClusterUnavailable) -> GateAnswer | float:
    if error.status is None or error.status >= 500 or error.status == 429:
        return max(UNANSWERED, error.retry_after or 0.0)
    if error.status == FORBIDDEN and "quota" not in error.said:
        return GateAnswer(None, "the operator may not make Jobs: the chart's value jobGates.enabled allows it")
    return GateAnswer(None, f"the API server refuses the Job {name}: {error.said[:LONGEST_SENTENCE]}")
