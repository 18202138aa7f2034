"""The Job that a gate is. Pure."""

import hashlib
from dataclasses import dataclass
from typing import Any

from tidegate.model.gate import GateSpec, SecretKey
from tidegate.resources.names import MANAGED_BY, MODEL_DEPLOYMENT, SERVER_PORT
from tidegate.resources.ownership import Owner
from tidegate.resources.pod_template import PodTemplate, pull_fields
from tidegate.resources.revision import owner as owner_reference

GATE = "tidegate.dev/gate"
KEPT_SECONDS = 3600
"""After its end, for its log to be read; then Kubernetes deletes it."""
CONTAINER = "gate"
REFUSED = "PodFailurePolicy"
"""Why a Job has failed whose pod ended with one of the exit codes that are a no."""
UID = 10001
LONGEST_NAME = 52
"""Of a revision in a Job's name, which has 63 characters at most."""


@dataclass(frozen=True)
class OwnImage:
    """The operator's, and the podTemplate of the model, whose pods are let in and pull images in that namespace."""

    image: str
    pod_template: PodTemplate


NO_IMAGE = OwnImage("", {})


def job_name(revision: str, question: str, started: str) -> str:
    """One for each question of a rollout, and the same one after a restart."""
    return f"{revision[:LONGEST_NAME]}-{hashlib.sha256(f'{started}/{question}'.encode()).hexdigest()[:10]}"


def job_manifest(
    owner: Owner,
    revisions: tuple[str, str],
    gate: GateSpec,
    question: str,
    started: str,
    review: bytes,
    *,
    fixed_ids: bool = True,
    own: OwnImage = NO_IMAGE,
) -> dict[str, Any]:
    """`revisions` are stable and the candidate; `own` is for a Job that names no image.

    Its pods bear no label of a model's: no Service, no autoscaler and no budget takes them for the model's own.
    """
    assert gate.job is not None  # noqa: S101 - only gates that are Jobs come here
    job = gate.job
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(revisions[1], question, started),
            "namespace": owner.namespace,
            "labels": {MANAGED_BY: "tidegate", MODEL_DEPLOYMENT: owner.name, GATE: gate.name},
            "ownerReferences": owner_reference(owner.name, owner.uid),
        },
        "spec": {
            "backoffLimit": job.retries,
            "activeDeadlineSeconds": int(job.deadline.total_seconds()),
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            **_failure_policy(job.refusal_codes),
            "template": {
                "metadata": {"labels": {GATE: gate.name}},
                "spec": _pod(owner, revisions, gate, review, fixed_ids, own),
            },
        },
    }


def _key(key: SecretKey) -> dict[str, str]:
    return {"name": key.name, "key": key.key}


def _failure_policy(refusal_codes: tuple[int, ...]) -> dict[str, Any]:
    """By which a Job tells a no from a pod that failed for another reason."""
    if not refusal_codes:
        return {}
    codes = {"containerName": CONTAINER, "operator": "In", "values": list(refusal_codes)}
    return {"podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": codes}]}}


def _pod(
    owner: Owner, revisions: tuple[str, str], gate: GateSpec, review: bytes, fixed_ids: bool, own: OwnImage
) -> dict[str, Any]:
    job, (stable, candidate) = gate.job, revisions
    assert job is not None  # noqa: S101 - only gates that are Jobs come here
    given = {
        "TIDEGATE_REVIEW": review.decode(),
        "TIDEGATE_CANDIDATE": candidate,
        "TIDEGATE_CANDIDATE_URL": f"http://{candidate}.{owner.namespace}.svc:{SERVER_PORT}",
        "TIDEGATE_STABLE_URL": f"http://{stable}.{owner.namespace}.svc:{SERVER_PORT}",
    }
    container = {
        "name": CONTAINER,
        "image": job.image or own.image,
        "command": list(job.command),
        "args": list(job.args),
        "env": [
            *({"name": name, "value": value} for name, value in {**dict(job.env), **given}.items()),
            *({"name": name, "valueFrom": {"secretKeyRef": _key(key)}} for name, key in job.secrets),
        ],
        "resources": job.resources,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": job.service_account is not None,
        **({} if job.image else pull_fields(own.pod_template)),
        **({"serviceAccountName": job.service_account} if job.service_account else {}),
        "securityContext": {
            "runAsNonRoot": True,
            **({"runAsUser": UID, "runAsGroup": UID} if fixed_ids else {}),
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [{name: value for name, value in container.items() if value}],
    }
