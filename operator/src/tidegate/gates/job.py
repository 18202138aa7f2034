"""A gate that is a Kubernetes Job: its success opens, its failure doesn't."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from tidegate.errors import ClusterUnavailable
from tidegate.gates.review import Question, one_sentence
from tidegate.kube.api import JOBS, PODS, Manifest, Resource
from tidegate.model.gate import GateAnswer
from tidegate.resources.gate_job import REFUSED, OwnImage, job_manifest
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
    def list(self, resource: Resource, namespace: str | None, selector: str | None) -> Manifest: ...
    def delete(self, resource: Resource, namespace: str, name: str, uid: str | None = None) -> None: ...


@dataclass(frozen=True)
class JobGates:
    """Makes one Job for each question, whose name is the question's: after a restart it is the same one."""

    api: Jobs
    fixed_ids: bool = True
    own_image: str = ""
    """The operator's, for Jobs that name none."""

    def known_by(self, namespace: str, question: Question) -> str:
        """One namespace's Jobs wait for one another, as looks at them."""
        return f"jobs in {namespace}"

    def ask(self, namespace: str, call_id: str, question: Question, tries: int) -> GateAnswer | float:
        """The answer once the Job has ended; until then, after how many seconds to look again."""
        job = question.gate.job
        assert job is not None  # noqa: S101 - only gates that are Jobs come here
        if not (job.image or self.own_image):
            return GateAnswer(
                None, "the operator isn't told its own image: set TIDEGATE_OPERATOR_IMAGE as the chart does"
            )
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
        return self._answer(namespace, found, is_told_apart=bool(job.refusal_codes))

    def withdraw(self, namespace: str, call_id: str, question: Question) -> None:
        """The question is over before its Job was: that goes. Raises ClusterUnavailable."""
        self.api.delete(JOBS, namespace, self._manifest(namespace, question)["metadata"]["name"])

    def _answer(self, namespace: str, job: Mapping[str, Any], *, is_told_apart: bool) -> GateAnswer | float:
        """`is_told_apart`: whether a no has a reason of its own, and other failures are no answer."""
        name = job["metadata"]["name"]
        for condition in (job.get("status") or {}).get("conditions") or ():
            if condition.get("status") != "True":
                continue
            if condition.get("type") == "Complete":
                said = self._said(namespace, name)
                return GateAnswer(True, f"the Job {name} has succeeded{said and f': {said}'}")
            if condition.get("type") == "Failed":
                why = condition.get("reason") or "no reason given"
                said = self._said(namespace, name) or f"see kubectl logs job/{name}"
                if is_told_apart and why != REFUSED:
                    return GateAnswer(None, f"the Job {name} came to no answer ({why}): {said}")
                return GateAnswer(False, f"the Job {name} failed ({why}): {said}", RUN_AGAIN)
        return LOOK_EACH

    def _said(self, namespace: str, name: str) -> str:
        """What a pod of it left in /dev/termination-log; '' where none did, or they can't be looked at."""
        try:
            pods = self.api.list(PODS, namespace, f"job-name={name}").get("items") or ()
        except ClusterUnavailable:
            return ""
        return next((said for pod in pods if (said := one_sentence(_left_by(pod)))), "")

    def _manifest(self, namespace: str, question: Question) -> Manifest:
        owner = Owner(namespace, question.deployment, question.uid)
        about = ((question.stable, question.candidate), question.gate, question.id, question.started, question.body)
        own = OwnImage(self.own_image, question.pod_template)
        return job_manifest(owner, *about, fixed_ids=self.fixed_ids, own=own)


def _left_by(pod: Mapping[str, Any]) -> object:
    containers = (pod.get("status") or {}).get("containerStatuses") or ()
    ended = [(each.get("state") or {}).get("terminated") or {} for each in containers]
    return next((each["message"] for each in ended if each.get("message")), None)


def _refused(name: str, error: ClusterUnavailable) -> GateAnswer | float:
    if error.status is None or error.status >= 500 or error.status == 429:
        return max(UNANSWERED, error.retry_after or 0.0)
    if error.status == FORBIDDEN and "quota" not in error.said:
        return GateAnswer(None, "the operator may not make Jobs: the chart's value jobGates.enabled allows it")
    return GateAnswer(None, f"the API server refuses the Job {name}: {error.said[:LONGEST_SENTENCE]}")
