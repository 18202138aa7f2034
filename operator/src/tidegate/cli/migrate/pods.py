"""What of a pod's template a ModelDeployment has too. Pure."""

from collections.abc import Mapping
from typing import Any

from tidegate.cli.migrate.source import Source

PLACEMENT = (
    "imagePullSecrets",
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "priorityClassName",
    "runtimeClassName",
    "schedulerName",
)
"""Fields of a pod that `spec.server.podTemplate` has under the same names."""
REFERENCES = ("configMapKeyRef", "secretKeyRef")
URI_NEEDED = "nothing here says where the model is: put it at spec.model.uri, or give it with --model"
OTHER_SERVER = (
    "Tidegate's own model server takes its place; a server of yours that speaks its protocol goes to spec.server.image"
)


def placement(source: Source, pod: str) -> dict[str, Any]:
    """Where pods run and how they fetch images, of a pod's spec at `pod`."""
    return {name: source.take(f"{pod}.{name}") for name in PLACEMENT}


def environment(source: Source, container: str) -> list[Mapping[str, Any]]:
    """Variables that the server gets as they are. Those of the pod itself, which only its own fields give, are told."""
    kept = []
    for number, variable in enumerate(source.look(f"{container}.env", [])):
        place = f"{container}.env.{number}"
        given = variable.get("valueFrom")
        if given is None or any(name in given for name in REFERENCES):
            source.take(place)
            kept.append(variable)
        else:
            source.remark(place, "a variable can come from a ConfigMap or a Secret, and from nothing of the pod's")
    return kept


def workload(source: Source, model: str) -> dict[str, Any]:
    """The parts of a spec that a Deployment's template gives: Argo Rollouts' own. `model` is a URI, or empty."""
    pod, container = "spec.template.spec", "spec.template.spec.containers.0"
    for path in ("spec.selector", "spec.template.metadata", f"{container}.name", f"{container}.imagePullPolicy"):
        source.take(path)
    if not model:
        source.say(f"{pod}.containers", URI_NEEDED)
    source.remark(f"{container}.image", OTHER_SERVER)
    for probe in ("readinessProbe", "livenessProbe", "startupProbe", "ports"):
        source.remark(f"{container}.{probe}", "ports and probes are the model server's own")
    for volumes in (f"{pod}.volumes", f"{container}.volumeMounts"):
        source.remark(volumes, "what the server needs of them goes to spec.server.podTemplate, under the same name")
    return {
        "model": {"uri": model or "REPLACE-ME"},
        "server": {
            "resources": source.take(f"{container}.resources"),
            "env": environment(source, container),
            "podTemplate": placement(source, pod),
        },
    }
