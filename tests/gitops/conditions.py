"""What a ModelDeployment may say of itself, and what tools that follow Git make of it: the table of docs/gitops.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GENERATION = 3


@dataclass(frozen=True)
class Case:
    """`row` is what the page says of it; `kstatus` and `argocd` are the tools' words."""

    row: str
    kstatus: str
    argocd: str
    status: Mapping[str, Any] | None
    deleted: bool = False

    @property
    def manifest(self) -> dict[str, Any]:
        """As the API server gives it."""
        metadata: dict[str, Any] = {"name": "digits", "namespace": "shop", "generation": GENERATION}
        if self.deleted:
            metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        body: dict[str, Any] = {
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": metadata,
            "spec": {"model": {"uri": "http://models/1"}},
        }
        return body if self.status is None else {**body, "status": self.status}


def status(*, seen: int = GENERATION, **conditions: tuple[bool, str]) -> dict[str, Any]:
    """With a condition by its type in lower case, whether it is so, and the reason."""
    return {
        "observedGeneration": seen,
        "conditions": [
            {
                "type": kind.capitalize(),
                "status": str(so),
                "reason": reason,
                "message": f"what {reason} is about",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
                "observedGeneration": seen,
            }
            for kind, (so, reason) in conditions.items()
        ],
    }


IDLE = (False, "Idle")
SERVING = (True, "StableServing")
UNSEEN = "the operator hasn't seen this generation"
WAITS = "`Reconciling` True with Paused, StepPaused or WaitingForApproval"
ENDED = "`Stalled` True: rolled back, aborted, invalid"
OUTAGE = "`Ready` False with NoPodsReady, `Reconciling` False: an outage"
OUTAGE_IN_ROLLOUT = "`Ready` False with NoPodsReady in a rollout: an outage"
OUT_OF_TIME = "`Reconciling` and `Stalled` True: out of time, and held"
MOVES = "`Reconciling` True"
SERVES = "`Ready` True alone"
NOT_YET = "`Ready` False for another reason"

LIVE = status(ready=SERVING, reconciling=IDLE, stalled=IDLE)
CASES: Mapping[str, Case] = {
    "as the CRD's default has it": Case(UNSEEN, "InProgress", "Progressing", {"observedGeneration": 0}),
    "live, and another spec was just applied": Case(
        UNSEEN, "InProgress", "Progressing", status(seen=2, ready=SERVING, reconciling=IDLE, stalled=IDLE)
    ),
    "live": Case(SERVES, "Current", "Healthy", LIVE),
    "scaled to zero": Case(
        SERVES, "Current", "Healthy", status(ready=(True, "ScaledToZero"), reconciling=IDLE, stalled=IDLE)
    ),
    "the first revision's pods start": Case(
        MOVES, "InProgress", "Progressing", status(ready=(False, "PodsStarting"), reconciling=(True, "PodsStarting"))
    ),
    "in a step": Case(
        MOVES, "InProgress", "Progressing", status(ready=SERVING, reconciling=(True, "CanaryStep"), stalled=IDLE)
    ),
    **{
        f"in a rollout with the reason {reason}": Case(
            WAITS, "InProgress", "Suspended", status(ready=SERVING, reconciling=(True, reason), stalled=IDLE)
        )
        for reason in ("Paused", "StepPaused", "WaitingForApproval")
    },
    "out of time": Case(
        OUT_OF_TIME,
        "InProgress",
        "Progressing",
        status(ready=SERVING, reconciling=(True, "MoreRequestsNeeded"), stalled=(True, "DeadlineExceeded")),
    ),
    "rolled back, and stable serves": Case(
        ENDED, "Failed", "Degraded", status(ready=SERVING, reconciling=IDLE, stalled=(True, "ErrorRateWorse"))
    ),
    "a spec that can't be read": Case(
        ENDED, "Failed", "Degraded", status(ready=SERVING, reconciling=IDLE, stalled=(True, "InvalidSpec"))
    ),
    "no pod of stable is ready": Case(
        OUTAGE, "InProgress", "Degraded", status(ready=(False, "NoPodsReady"), reconciling=IDLE, stalled=IDLE)
    ),
    "no pod is ready in a rollout": Case(
        OUTAGE_IN_ROLLOUT,
        "InProgress",
        "Degraded",
        status(ready=(False, "NoPodsReady"), reconciling=(True, "CanaryStep"), stalled=IDLE),
    ),
    "no router has the route": Case(
        NOT_YET, "InProgress", "Progressing", status(ready=(False, "RouteNotApplied"), reconciling=IDLE, stalled=IDLE)
    ),
    "live, and being deleted": Case("being deleted", "Terminating", "Healthy", LIVE, deleted=True),
}
