"""What Helm 4, Flux and Argo CD's relatives make of an object's status: kstatus' generic rules, in its order."""

from collections.abc import Mapping
from typing import Any


def compute(manifest: Mapping[str, Any]) -> str:
    """InProgress is waited for, Failed ends the wait at once, Current is a success."""
    metadata, status = manifest["metadata"], manifest.get("status", {})
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    if "observedGeneration" in status and status["observedGeneration"] != metadata["generation"]:
        return "InProgress"
    conditions = status.get("conditions", ())
    for condition in conditions:
        if condition["status"] == "True" and condition["type"] in ("Reconciling", "Stalled"):
            return "InProgress" if condition["type"] == "Reconciling" else "Failed"
    ready = [condition["status"] for condition in conditions if condition["type"] == "Ready"]
    return "Current" if ready in ([], ["True"]) else "InProgress"
