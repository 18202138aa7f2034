"""What a client asks for, whichever way it asked. Pure."""

from dataclasses import dataclass
from functools import lru_cache

from tidegate_server.errors import InvalidRequest
from tidegate_server.protocol.document import shown
from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.tensors import Array


@dataclass(frozen=True, slots=True)
class WantedOutput:
    """`binary`: as bytes after the JSON. `classes` above 0: the classification extension's best so many."""

    name: str
    binary: bool = False
    classes: int = 0


@dataclass(frozen=True, slots=True)
class InferRequest:
    """One array for each input of the model, and the wanted outputs in the wanted order."""

    arrays: dict[str, Array]
    outputs: tuple[WantedOutput, ...]
    id: str | None = None
    timeout_seconds: float | None = None
    """How long the client waits for the answer, as it said itself."""


def known_input(name: str, signature: Signature) -> TensorSpec:
    """Raises InvalidRequest."""
    spec = signature.input(name)
    if spec is None:
        names = ", ".join(spec.name for spec in signature.inputs) or "none"
        raise InvalidRequest(f"the model has no input {shown(name)}; it has {names}")
    return spec


def complete(arrays: dict[str, Array], signature: Signature) -> dict[str, Array]:
    """The same arrays. Raises InvalidRequest when an input is missing."""
    if len(arrays) != len(signature.inputs):
        missing = next(spec.name for spec in signature.inputs if spec.name not in arrays)
        raise InvalidRequest(f"input {missing} is missing")
    return arrays


@lru_cache(maxsize=64)
def every_output(names: tuple[str, ...], *, binary: bool = False) -> tuple[WantedOutput, ...]:
    return tuple(WantedOutput(name, binary) for name in names)


def rows_of(request: InferRequest) -> int:
    """The first dimension of the first input; 1 for a scalar."""
    for array in request.arrays.values():
        return array.shape[0] if array.ndim else 1
    return 1
