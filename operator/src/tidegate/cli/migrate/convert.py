"""Which kinds are known, and the ModelDeployment that each becomes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.cli.common.errors import Unusable
from tidegate.cli.migrate.argo_rollouts import rollout
from tidegate.cli.migrate.flagger import canary
from tidegate.cli.migrate.kserve import inference_service
from tidegate.cli.migrate.seldon import deployment, model_of_core_2
from tidegate.cli.migrate.source import Convert, Remark, Source, without_nothing
from tidegate.kube.api import MODEL_DEPLOYMENTS

KNOWN: Mapping[tuple[str, str], Convert] = {
    ("serving.kserve.io", "InferenceService"): inference_service,
    ("argoproj.io", "Rollout"): rollout,
    ("flagger.app", "Canary"): canary,
    ("machinelearning.seldon.io", "SeldonDeployment"): deployment,
    ("mlops.seldon.io", "Model"): model_of_core_2,
}
"""By API group and kind."""


@dataclass(frozen=True)
class Migrated:
    """A ModelDeployment, and what of its source it doesn't say."""

    manifest: Mapping[str, Any]
    remarks: tuple[Remark, ...]


def converter(value: Any) -> Convert | None:
    """Of an object's kind; None where that isn't known."""
    if not isinstance(value, Mapping):
        return None
    return KNOWN.get((str(value.get("apiVersion")).partition("/")[0], str(value.get("kind"))))


def migrated(value: Mapping[str, Any], convert: Convert, model: str = "") -> Migrated:
    """`model` is the model's URI, for sources that don't say one. Raises Unusable where a field has another shape."""
    source = Source(value)
    metadata = {name: source.take(f"metadata.{name}") for name in ("name", "namespace", "labels")}
    try:
        spec = convert(source, model)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise Unusable(f"{value.get('kind')} {metadata['name']} isn't shaped as its kind is: {error}") from error
    manifest = {
        "apiVersion": MODEL_DEPLOYMENTS.api_version,
        "kind": MODEL_DEPLOYMENTS.kind,
        "metadata": metadata,
        "spec": spec,
    }
    return Migrated(without_nothing(manifest), source.told())
