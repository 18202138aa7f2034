"""KServe's InferenceService, with `canaryTrafficPercent` and with the list `spec.canary` of 0.20. Pure."""

from collections.abc import Mapping
from typing import Any

from tidegate.cli.migrate.pods import OTHER_SERVER, URI_NEEDED, environment, placement
from tidegate.cli.migrate.source import Source
from tidegate.model.delivery import Delivery

SCHEMES = ("s3://", "gs://", "https://", "http://", "pvc://", "hf://", "oci://")
"""Addresses that mean the same in both."""
MOUNTED, FETCHED = "oci+native://", "oci+fetch://"
"""An image that the node mounts, and one that is downloaded: here a field says which."""
WHOLE = 100
SCALING = "leave spec.replicas out, and let a HorizontalPodAutoscaler have the ModelDeployment as its target"


def inference_service(source: Source, model: str) -> Mapping[str, Any]:
    """The stable predictor; a canary is the next release of it, and so is only told."""
    predictor = "spec.predictor"
    spec = {
        "replicas": source.take(f"{predictor}.minReplicas"),
        **_server(source, predictor, model),
        "strategy": _strategy(source),
        "traffic": {"timeout": _seconds(source.take(f"{predictor}.timeout"))},
    }
    for name in ("maxReplicas", "scaleTarget", "scaleMetric", "autoScaling"):
        source.remark(f"{predictor}.{name}", SCALING)
    source.remark(
        f"{predictor}.containerConcurrency", "the model server bounds what it holds, and says 429 beyond; leave it out"
    )
    source.remark("spec.transformer", "there is none here: let the caller do its work, or put it into the ONNX graph")
    source.remark("spec.explainer", "there is none here")
    source.remark(
        f"{predictor}.logger", "the model server logs bodies by variables of its own, see docs/server-metrics.md"
    )
    return spec


def _server(source: Source, predictor: str, model: str) -> dict[str, Any]:
    """Model and server of a predictor; it names its framework by `model.modelFormat`, or by the key `onnx`."""
    at = f"{predictor}.onnx" if source.look(f"{predictor}.onnx") is not None else f"{predictor}.model"
    source.take(f"{predictor}.name")
    return {
        "model": {
            **({"uri": model} if model else _located(source, at)),
            "serviceAccount": _account(source, predictor),
        },
        "server": {
            "resources": source.take(f"{at}.resources"),
            "env": environment(source, at),
            "batching": _batching(source, predictor),
            "podTemplate": placement(source, predictor),
        },
    }


def _located(source: Source, at: str) -> dict[str, Any]:
    """The model's address, and how it gets into its pods."""
    uri = _uri(source, at)
    if not uri.startswith((MOUNTED, FETCHED)):
        return {"uri": uri}
    plain = f"oci://{uri.partition('://')[2]}"
    if uri.startswith(FETCHED):
        return {"uri": plain}
    if "@sha256:" in plain:
        return {"uri": plain, "delivery": Delivery.IMAGE_VOLUME.value}
    source.say(
        f"{at}.storageUri",
        "a volume is of a digest here: name it in spec.model.uri, and set spec.model.delivery to ImageVolume; until "
        "then the model is fetched",
    )
    return {"uri": plain}


def _uri(source: Source, at: str) -> str:
    _runtime(source, at)
    uri = str(source.take(f"{at}.storageUri", ""))
    source.remark(f"{at}.storage", "name the whole address at spec.model.uri, as in s3://BUCKET/PATH")
    if not uri:
        source.say(f"{at}.storageUri", URI_NEEDED)
        return "REPLACE-ME"
    if not uri.startswith((*SCHEMES, MOUNTED, FETCHED)):
        source.say(f"{at}.storageUri", f"{uri.partition('://')[0]}:// isn't known here: see docs/model-sources.md")
    elif ".blob.core.windows.net/" in uri:
        source.say(f"{at}.storageUri", "an address of Azure's is az://CONTAINER/PATH here: see docs/model-sources.md")
    return uri


def _runtime(source: Source, at: str) -> None:
    """What serves it there."""
    form = source.take(f"{at}.modelFormat.name", "onnx")
    source.take(f"{at}.modelFormat.version")
    source.take(f"{at}.protocolVersion")  # both versions are answered
    if form != "onnx":
        source.say(f"{at}.modelFormat.name", f"only ONNX models are served: export the {form} model")
    for name in ("runtime", "runtimeVersion", "image", "args", "command"):
        source.remark(f"{at}.{name}", OTHER_SERVER)


def _account(source: Source, predictor: str) -> str | None:
    account: str | None = source.take(f"{predictor}.serviceAccountName")
    if account:
        source.say(
            f"{predictor}.serviceAccountName",
            "its identity in a cloud reads the model, as there; Secrets that it lists aren't read: name the one with "
            "the keys at spec.model.credentialsSecret",
        )
    return account


def _batching(source: Source, predictor: str) -> dict[str, Any]:
    delay = source.take(f"{predictor}.batcher.maxLatency")
    return {
        "maxRows": source.take(f"{predictor}.batcher.maxBatchSize"),
        "maxDelay": f"{delay}ms" if delay is not None else None,
    }


def _strategy(source: Source) -> dict[str, Any]:
    """A share that a person has chosen is a step that a person ends."""
    percent = source.take("spec.predictor.canaryTrafficPercent")
    if percent is not None and 0 < percent < WHOLE:
        source.say(
            "spec.predictor.canaryTrafficPercent",
            f"it is a step of {percent} % that waits for approval, from the next change of the model on",
        )
        return _waits_at(percent)
    canaries = source.look("spec.canary", [])
    for number, canary in enumerate(canaries):
        _next_release(source, number, canary)
    shares = [each.get("trafficPercent", 0) for each in canaries[:1]]
    return _waits_at(shares[0]) if shares and 0 < shares[0] < WHOLE else {}


def _next_release(source: Source, number: int, canary: Mapping[str, Any]) -> None:
    at = f"spec.canary.{number}"
    source.take(at)
    if number:
        source.say(at, "one candidate is released at a time; this one comes after the other is promoted or undone")
        return
    predictor = canary.get("predictor", {})
    uri = (predictor.get("model") or predictor.get("onnx") or {}).get("storageUri", "its model")
    source.say(at, f"it is the next release: once this is live, apply it again with spec.model.uri: {uri}")
    if not canary.get("trafficPercent"):
        source.say(at, "requests with the header x-tidegate-revision reach a candidate that has no share yet")


def _waits_at(percent: int) -> dict[str, Any]:
    return {"canary": {"steps": [{"weight": percent, "approval": "Required"}]}}


def _seconds(value: int | None) -> str | None:
    return f"{value}s" if value is not None else None
