"""An inference request, whichever protocol it came by. Pure."""

from dataclasses import dataclass
from functools import lru_cache

from tidegate_server.errors import InvalidRequest
from tidegate_server.protocol.json_codec import quoted
from tidegate_server.protocol.padding import Padding
from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.tensors import Array


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """`binary`: as bytes after the JSON. `classes` above 0: the classification extension's best so many."""

    name: str
    binary: bool = False
    classes: int = 0


@dataclass(frozen=True, slots=True)
class InferRequest:
    """One array for each input of the model, and the wanted outputs in the wanted order."""

    arrays: dict[str, Array]
    outputs: tuple[RequestedOutput, ...]
    id: str | None = None
    timeout_seconds: float | None = None
    """How long the client waits for the response, as it said itself."""
    is_derived: bool = False
    """Its arrays were made here, of texts: what is wrong with their values isn't the client's doing."""
    padding: Padding | None = None
    """How its rows are lengthened beside longer ones; None where only rows of one shape share a run."""

    @property
    def rows(self) -> int:
        """The first dimension of the first input; 1 for a scalar."""
        for array in self.arrays.values():
            return array.shape[0] if array.ndim else 1
        return 1


def known_input(name: str, signature: Signature) -> TensorSpec:
    """The input of that name. Raises InvalidRequest where the model has none."""
    spec = signature.input(name)
    if spec is None:
        names = ", ".join(spec.name for spec in signature.inputs) or "none"
        raise InvalidRequest(f"the model has no input {quoted(name)}; it has {names}")
    return spec


def known_output(name: str, signature: Signature) -> TensorSpec:
    """The output of that name. Raises InvalidRequest where the model has none."""
    spec = signature.output(name)
    if spec is None:
        raise InvalidRequest(f"the model has no output {quoted(name)}; it has {', '.join(signature.output_names)}")
    return spec


def require_all_inputs(arrays: dict[str, Array], signature: Signature) -> dict[str, Array]:
    """The same arrays. Raises InvalidRequest when an input is missing that may not be left out."""
    if len(arrays) != len(signature.inputs):
        missing = next((spec.name for spec in signature.required_inputs if spec.name not in arrays), None)
        if missing is not None:
            raise InvalidRequest(f"input {missing} is missing")
    return arrays


@lru_cache(maxsize=64)
def all_outputs(names: tuple[str, ...], *, binary: bool = False) -> tuple[RequestedOutput, ...]:
    """What a client gets that names no outputs."""
    return tuple(RequestedOutput(name, binary) for name in names)
