"""What a model takes and gives: names, datatypes and shapes in the words of the Open Inference Protocol. Pure."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

NUMPY_TYPES: dict[str, type[np.generic]] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}


@dataclass(frozen=True)
class TensorSpec:
    """One input or output. A dimension is a size, a symbol such as "batch", or None for an unnamed variable one."""

    name: str
    datatype: str
    dimensions: tuple[int | str | None, ...]

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """As in the protocol: -1 is a variable dimension."""
        return tuple(size if isinstance(size, int) and size >= 0 else -1 for size in self.dimensions)

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


@dataclass(frozen=True)
class Signature:
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def input(self, name: str) -> TensorSpec | None:
        return self._inputs_by_name.get(name)

    def output(self, name: str) -> TensorSpec | None:
        return self._outputs_by_name.get(name)

    @cached_property
    def output_names(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in self.outputs)

    @cached_property
    def _inputs_by_name(self) -> dict[str, TensorSpec]:
        return {spec.name: spec for spec in self.inputs}

    @cached_property
    def _outputs_by_name(self) -> dict[str, TensorSpec]:
        return {spec.name: spec for spec in self.outputs}


def blank_inputs(signature: Signature) -> dict[str, np.ndarray[Any, Any]]:
    """Zeros, False or empty strings of the smallest shape with anything in it."""
    return {spec.name: _blank(spec) for spec in signature.inputs}


def _blank(spec: TensorSpec) -> np.ndarray[Any, Any]:
    shape = tuple(1 if size == -1 else size for size in spec.shape)
    if spec.datatype == "BYTES":
        return np.full(shape, "", dtype=np.object_)
    return np.zeros(shape, dtype=NUMPY_TYPES[spec.datatype])


def disagreement(signature: Signature, arrays: dict[str, np.ndarray[Any, Any]]) -> str | None:
    """A sentence about two inputs that give one symbol two sizes, or None.

    Some exporters name dimensions carelessly and the runtime doesn't mind, so this explains a failure but forbids none.
    """
    seen: dict[str, tuple[str, int]] = {}
    for spec in signature.inputs:
        for symbol, size in zip(spec.dimensions, arrays[spec.name].shape, strict=False):
            if not isinstance(symbol, str):
                continue
            other, agreed = seen.setdefault(symbol, (spec.name, size))
            if agreed != size:
                return f"dimension {symbol!r} is {agreed} in input {other} and {size} in input {spec.name}"
    return None
