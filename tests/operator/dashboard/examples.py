"""Rollouts that might be, for tests and for the pictures of the documents."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tidegate.model.units import format_instant

Manifest = dict[str, Any]
NOW = datetime(2026, 11, 30, 2, 41, 7, tzinfo=UTC)
DIGEST = "5f3c1e9a77b0d2c4e6f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e"


def ago(**span: float) -> str:
    return format_instant(NOW - timedelta(**span))


def condition(kind: str, status: bool, reason: str, message: str, since: str) -> Manifest:
    return {
        "type": kind,
        "status": str(status),
        "reason": reason,
        "message": message,
        "lastTransitionTime": since,
        "observedGeneration": 7,
    }


def model_deployment(namespace: str, name: str, status: Mapping[str, Any], **spec: Any) -> Manifest:
    return {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {
            "namespace": namespace,
            "name": name,
            "uid": f"uid-{namespace}-{name}",
            "creationTimestamp": ago(days=40),
            "generation": 7,
            "managedFields": [{"manager": "kubectl"}],
        },
        "spec": {
            "replicas": 4,
            "model": {"uri": f"https://models.example.com/{name}/8.onnx"},
            "strategy": {"canary": {"steps": [{"weight": 5}, {"weight": 25}, {"weight": 50}]}},
            **spec,
        },
        "status": dict(status),
    }


def revision(name: str, mark: str, version: int, ready: int) -> Manifest:
    uri = f"https://reader:hunter2@models.example.com/{name}/{version}.onnx"
    return {"revision": f"{name}-{mark}", "readyReplicas": ready, "model": {"uri": uri, "sha256": DIGEST}}


SENTENCE = (
    "sentiment-81aa22bb gets 25% of the requests (step 2 of 3): error rate 0.21% (26 of 12,400 requests) against 0.19% "
    "on stable (71 of 37,180 requests), 0.72× to 1.5× of stable's (99% sure); rollback evidence 0.4 (threshold 100), "
    "promotion evidence 2.6 (threshold 3.3); waiting for about 3,100 more candidate requests (about 3 min)"
)


def canary(worse: str = "0.4 (threshold 100)", acceptable: str = "2.6 (threshold 3.3)", weight: int = 25) -> Manifest:
    """A rollout under way, at its second step."""
    return model_deployment(
        "shop",
        "sentiment",
        {
            "phase": "Canary",
            "message": SENTENCE,
            "stable": revision("sentiment", "5d0c77e1", 7, 4),
            "candidate": revision("sentiment", "81aa22bb", 8, 2),
            "traffic": {
                "candidate": weight,
                "appliedCandidate": weight,
                "observedCandidate": f"{weight - 0.2:.1f}%",
                "shiftedAt": ago(minutes=4),
            },
            "rollout": {
                "candidate": "sentiment-81aa22bb",
                "startedAt": ago(minutes=13),
                "step": 2,
                "steps": 3,
                "progress": "2/3",
                "stepStartedAt": ago(minutes=4),
                "shifts": [{"at": ago(minutes=11), "weight": 5}, {"at": ago(minutes=4), "weight": weight}],
            },
            "analysis": {
                "verdict": "NotEnoughEvidence",
                "reason": "MoreRequestsNeeded",
                "message": SENTENCE.partition(": ")[2],
                "evidence": {"worse": worse, "acceptable": acceptable},
                "updatedAt": ago(seconds=6),
            },
            "conditions": [
                condition("Ready", True, "StableServing", "sentiment-5d0c77e1 serves with 4 pods", ago(days=3)),
                condition("Reconciling", True, "MoreRequestsNeeded", SENTENCE, ago(minutes=13)),
                condition("Stalled", False, "Progressing", "nothing is in the way", ago(minutes=13)),
            ],
            "history": HISTORY,
        },
    )


HISTORY = [
    {
        "revision": "sentiment-5d0c77e1",
        "outcome": "Promoted",
        "reason": "EvidenceAcceptable",
        "message": "error rate 0.19% (412 of 216,900 requests) against 0.2% on stable before (433 of 216,500 "
        "requests); rollback evidence 0.3 (threshold 100), promotion evidence 24 (threshold 20)",
        "startedAt": ago(days=3, minutes=31),
        "finishedAt": ago(days=3),
        "stable": "sentiment-c0ffee12",
        "shifts": [{"at": ago(days=3, minutes=29), "weight": 5}, {"at": ago(days=3, minutes=4), "weight": 100}],
        "exposure": {"requests": 216_900, "failed": 412},
    },
    {
        "revision": "sentiment-99e01d3a",
        "outcome": "RolledBack",
        "reason": "ErrorRateWorse",
        "message": "error rate 4.1% (41 of 1,000 requests) against 0.2% on stable (38 of 19,000 requests); "
        "rollback evidence 3,120 (threshold 100), promotion evidence 0.002 (threshold 2)",
        "startedAt": ago(days=9, minutes=6),
        "finishedAt": ago(days=9),
        "stable": "sentiment-c0ffee12",
        "shifts": [{"at": ago(days=9, minutes=2), "weight": 5}, {"at": ago(days=9), "weight": 0}],
        "exposure": {"requests": 1_024, "failed": 42},
        "secondsToZeroTraffic": "0.8",
    },
]


def live(namespace: str, name: str, mark: str = "5d0c77e1", pods: int = 3) -> Manifest:
    """Nothing under way."""
    message = f"{name}-{mark} serves with {pods} pods"
    return model_deployment(
        namespace,
        name,
        {
            "phase": "Live",
            "message": message,
            "stable": revision(name, mark, 7, pods),
            "conditions": [
                condition("Ready", True, "StableServing", message, ago(days=12)),
                condition("Reconciling", False, "Idle", "there is nothing to do", ago(days=12)),
                condition("Stalled", False, "Idle", "nothing is in the way", ago(days=12)),
            ],
        },
    )


def rolled_back(namespace: str = "shop", name: str = "recommend") -> Manifest:
    """A bad release: users are served by the revision before."""
    message = (
        f"ErrorRateWorse: {name}-0badc0de was rolled back: error rate 6.3% (63 of 1,000 requests) against 0.4% on "
        "stable (76 of 19,000 requests), at least 8.1× of stable's (99% sure); rollback evidence 1e7 (threshold 100), "
        "promotion evidence 0.001 (threshold 2)"
    )
    manifest = live(namespace, name, "71c0ffee", 6)
    manifest["status"] |= {"phase": "RolledBack", "message": message}
    manifest["status"]["rejected"] = {"revision": f"{name}-0badc0de", "reason": "ErrorRateWorse", "message": message}
    manifest["status"]["conditions"][2] = condition("Stalled", True, "ErrorRateWorse", message, ago(hours=2))
    return manifest


def outage(namespace: str = "search", name: str = "ranking") -> Manifest:
    """Nobody is served."""
    why = "container server ended with out of memory; raise spec.server.resources.limits.memory"
    message = f"{name}-0d15ea5e has no pod ready: {why}"
    manifest = live(namespace, name, "0d15ea5e", 0)
    manifest["status"] |= {"phase": "Live", "message": message}
    manifest["status"]["conditions"][0] = condition("Ready", False, "NoPodsReady", message, ago(minutes=2))
    return manifest


def paused(namespace: str = "shop", name: str = "toxicity") -> Manifest:
    """A rollout that somebody has paused."""
    manifest = canary()
    message = f"paused at 25% (step 2 of 3) by spec.paused; {name}-81aa22bb takes no step up until it is false"
    manifest["metadata"] |= {"namespace": namespace, "name": name, "uid": f"uid-{name}"}
    manifest["spec"]["paused"] = True
    manifest["status"] |= {"phase": "Paused", "message": message}
    manifest["status"]["stable"] = revision(name, "5d0c77e1", 7, 4)
    manifest["status"]["candidate"] = revision(name, "81aa22bb", 8, 2)
    manifest["status"]["rollout"]["candidate"] = f"{name}-81aa22bb"
    return manifest


def pod(name: str, mark: str, suffix: str, *, ready: bool = True, namespace: str = "shop", **more: Any) -> Manifest:
    """A pod of a revision."""
    return {
        "metadata": {
            "namespace": namespace,
            "name": f"{name}-{mark}-{suffix}",
            "creationTimestamp": ago(minutes=12),
            "labels": {
                "app.kubernetes.io/managed-by": "tidegate",
                "tidegate.dev/model-deployment": name,
                "tidegate.dev/revision": f"{name}-{mark}",
            },
        },
        "spec": {"nodeName": "node-b", "containers": [{"env": [{"name": "PASSWORD", "value": "hunter2"}]}]},
        "status": {
            "phase": "Running",
            "conditions": [
                {
                    "type": "Ready",
                    "status": str(ready),
                    "message": "" if ready else "containers with unready status: [server]",
                }
            ],
            "containerStatuses": [{"name": "server", "ready": ready, "restartCount": 0, "state": {"running": {}}}],
            **more,
        },
    }


CRASHED: Manifest = {
    "containerStatuses": [
        {
            "name": "server",
            "ready": False,
            "restartCount": 3,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": ago(minutes=1)}},
        }
    ]
}


def everything() -> list[Manifest]:
    """A cluster on a middling day."""
    names = ("embeddings", "fraud", "intent", "language-id", "ner", "pricing", "spam", "summarise-short", "topics")
    return [
        canary(),
        rolled_back(),
        outage(),
        paused(),
        *(live("search" if len(each) > 5 else "bank", each) for each in names),
    ]


def all_pods() -> list[Manifest]:
    return [
        *(pod("sentiment", "5d0c77e1", f"7f9c-{each}") for each in ("2xk4p", "9sd8f", "lm3qz", "tt7wd")),
        pod("sentiment", "81aa22bb", "6b5d-h2v8k"),
        pod("sentiment", "81aa22bb", "6b5d-zq0rn", ready=False, **CRASHED),
    ]
