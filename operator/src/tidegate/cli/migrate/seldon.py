"""Seldon's SeldonDeployment of Core 1, and Model of Core 2. Pure."""

from collections.abc import Mapping
from typing import Any

from tidegate.cli.migrate.pods import OTHER_SERVER, URI_NEEDED
from tidegate.cli.migrate.source import Source

RELEASE = "it is the next release: once this is live, apply it again with spec.model.uri: {}"
WHOLE = 100


def deployment(source: Source, model: str) -> Mapping[str, Any]:
    """The predictor with most of the traffic is stable; another is the next release, at its share."""
    predictors = source.look("spec.predictors", [])
    shares = [each.get("traffic", 0) for each in predictors]
    stable = shares.index(max(shares)) if shares else 0
    weights = [_next_release(source, number) for number in range(len(predictors)) if number != stable]
    at = f"spec.predictors.{stable}"
    for name in ("name", "traffic", "graph.name", "graph.type"):
        source.take(f"{at}.{name}")
    source.take("spec.name")
    source.take("spec.protocol")
    source.remark(f"{at}.graph.implementation", OTHER_SERVER)
    source.remark(f"{at}.graph.children", "one graph is served, as one ONNX file: join them there")
    source.remark(f"{at}.componentSpecs", "the pods' own settings are spec.server: carry them over by hand")
    source.remark(f"{at}.hpaSpec", "let a HorizontalPodAutoscaler have the ModelDeployment as its target")
    uri = source.take(f"{at}.graph.modelUri")
    if not (model or uri):
        source.say(f"{at}.graph.modelUri", URI_NEEDED)
    step = next((weight for weight in weights if 0 < weight < WHOLE), None)
    return {
        "replicas": source.take(f"{at}.replicas") or source.take("spec.replicas"),
        "model": {
            "uri": model or uri or "REPLACE-ME",
            "credentialsSecret": source.take(f"{at}.graph.envSecretRefName"),
            "serviceAccount": source.take(f"{at}.graph.serviceAccountName"),
        },
        "strategy": {"canary": {"steps": [{"weight": step, "approval": "Required"}]}} if step else {},
    }


def _next_release(source: Source, number: int) -> int:
    """Its share, in percent; a shadow has none."""
    at = f"spec.predictors.{number}"
    predictor: Mapping[str, Any] = source.take(at)
    if predictor.get("shadow"):
        source.say(at, "a shadow is steps[].mirror of the next release, see docs/shadow-and-match.md")
        return 0
    source.say(at, RELEASE.format(predictor.get("graph", {}).get("modelUri", "its model")))
    return int(predictor.get("traffic", 0))


def model_of_core_2(source: Source, model: str) -> Mapping[str, Any]:
    """A Model alone; an Experiment over several is one release after the other here."""
    uri = source.take("spec.storageUri")
    if not (model or uri):
        source.say("spec.storageUri", URI_NEEDED)
    wanted = source.take("spec.requirements", ["onnx"])
    if "onnx" not in wanted:
        source.say("spec.requirements", f"only ONNX models are served: export the {wanted[0]} model")
    source.remark("spec.secretName", "it has a configuration of rclone: spec.model.credentialsSecret has variables")
    source.remark("spec.minReplicas", "let a HorizontalPodAutoscaler have the ModelDeployment as its target")
    source.remark("spec.maxReplicas", "let a HorizontalPodAutoscaler have the ModelDeployment as its target")
    source.remark("spec.server", OTHER_SERVER)
    memory = source.take("spec.memory")
    return {
        "replicas": source.take("spec.replicas"),
        "model": {"uri": model or uri or "REPLACE-ME"},
        "server": {"resources": {"requests": {"memory": memory}} if memory is not None else None},
    }
