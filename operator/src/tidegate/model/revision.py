"""Revisions: immutable snapshots of everything that makes a pod, and what is known of each in the cluster."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.model.spec import Canary, Model, ModelDeploymentSpec, Server


@dataclass(frozen=True)
class Snapshot:
    """What a revision's pods are made of. `image` is resolved once: an upgrade of ours re-rolls nobody's model."""

    model: Model
    server: Server
    image: str

    def to_dict(self) -> dict[str, Any]:
        """The data of a ControllerRevision."""
        return {**_identity(self.model, self.server), "image": self.image}

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> "Snapshot":
        """The inverse of `to_dict`."""
        server = data["server"]
        return cls(
            Model(data["model"]["uri"], data["model"]["sha256"]),
            Server(server["image"], server["resources"], tuple((name, value) for name, value in server["env"])),
            data["image"],
        )


@dataclass(frozen=True)
class Tensor:
    """One input or output of a model; −1 in the shape is a dimension of any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.datatype}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class ModelFacts:
    """What a pod found in the model's file: its digest and its signature."""

    sha256: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True)
class Trouble:
    """Why a revision's pods aren't ready. `permanent`: waiting can't help. `crashed`: it had started, and died."""

    reason: str
    message: str
    permanent: bool = False
    crashed: bool = False


@dataclass(frozen=True)
class RevisionState:
    """A revision as the cluster has it. Without a snapshot or a workload, a write was cut short or undone."""

    name: str
    number: int = 0
    """Ascends with every revision of the ModelDeployment; the newest has the highest."""
    snapshot: Snapshot | None = None
    replicas: int | None = None
    """Pods that its Deployment wants; None where there is no Deployment."""
    ready: int = 0
    facts: ModelFacts | None = None
    pinned: str | None = None
    """The digest that its pods are held to, where the user didn't give one."""
    trouble: Trouble | None = None


def revision_name(name: str, spec: ModelDeploymentSpec) -> str:
    """`sentiment-6f9c1d2e`: the same model and server always give the same name."""
    return f"{name}-{_digest(_identity(spec.model, spec.server))}"


def plan_digest(spec: ModelDeploymentSpec) -> str:
    """Changes when the strategy or the analysis does: a rejected revision is then worth another try."""
    return _digest([repr(spec.strategy), repr(spec.analysis)])


def strategy_steps(spec: ModelDeploymentSpec) -> int:
    """Steps that carry traffic: a canary's own, or the one switch of blue-green."""
    return len(spec.strategy.steps) if isinstance(spec.strategy, Canary) else 1


def incompatibility(stable: ModelFacts, candidate: ModelFacts) -> str | None:
    """Why clients of `stable` would break on `candidate`, in one clause; None if they wouldn't.

    Every input must be there under its name and type and take at least the shapes that it took; no input may be added;
    every output must remain under its name and type.
    """
    wanted = {tensor.name: tensor for tensor in stable.inputs}
    offered = {tensor.name: tensor for tensor in candidate.inputs}
    if wanted.keys() != offered.keys():
        return f"it takes the inputs {_listed(candidate.inputs)}, stable takes {_listed(stable.inputs)}"
    for name, tensor in wanted.items():
        if not _takes(offered[name], tensor):
            return f"its input is {offered[name]}, stable's is {tensor}"
    answered = {tensor.name: tensor for tensor in candidate.outputs}
    for tensor in stable.outputs:
        other = answered.get(tensor.name)
        if other is None or other.datatype != tensor.datatype:
            return f"it gives the outputs {_listed(candidate.outputs)}, stable gives {_listed(stable.outputs)}"
    return None


def _takes(offered: Tensor, wanted: Tensor) -> bool:
    if offered.datatype != wanted.datatype or len(offered.shape) != len(wanted.shape):
        return False
    return all(new in (-1, old) for new, old in zip(offered.shape, wanted.shape, strict=True))


def _listed(tensors: Sequence[Tensor]) -> str:
    return ", ".join(map(str, tensors)) or "none"


def _identity(model: Model, server: Server) -> dict[str, Any]:
    return {
        "model": {"uri": model.uri, "sha256": model.sha256},
        "server": {
            "image": server.image,
            "resources": {kind: dict(amounts) for kind, amounts in server.resources.items()},
            "env": [list(pair) for pair in server.env],
        },
    }


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]
