"""What a model takes and gives: names, datatypes and shapes in the words of the Open Inference Protocol. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
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
    "BF16": np.float32,  # numpy has no such type, and every value of it is one of these
    "BYTES": np.object_,
}


@dataclass(frozen=True)
class TensorSpec:
    """One input or output. A dimension is a size, a symbol such as "batch", or None for an unnamed variable one."""

    name: str
    datatype: str
    dimensions: tuple[int | str | None, ...]
    classes: tuple[str, ...] = ()
    """Names of the last dimension's columns, where the graph has them."""
    optional: bool = False
    """An input that may be left out. An output that may be: it's empty then."""

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """As in the protocol: -1 is a variable dimension."""
        return tuple(size if isinstance(size, int) and size >= 0 else -1 for size in self.dimensions)

    def as_json(self) -> dict[str, Any]:
        """As in the protocol's model metadata."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


@dataclass(frozen=True)
class Signature:
    """A model's inputs and outputs, in its own order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def input(self, name: str) -> TensorSpec | None:
        """The input of that name; None where there is none."""
        return self._inputs_by_name.get(name)

    def output(self, name: str) -> TensorSpec | None:
        """The output of that name; None where there is none."""
        return self._outputs_by_name.get(name)

    @cached_property
    def output_names(self) -> tuple[str, ...]:
        """In the model's order."""
        return tuple(spec.name for spec in self.outputs)

    @cached_property
    def output_classes(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the columns by output, of those outputs whose columns the graph names."""
        return {spec.name: spec.classes for spec in self.outputs if spec.classes}

    @cached_property
    def required_inputs(self) -> tuple[TensorSpec, ...]:
        """Those that may not be left out."""
        return tuple(spec for spec in self.inputs if not spec.optional)

    @cached_property
    def is_batchable(self) -> bool:
        """Every tensor is always there and begins with a variable dimension; inputs' that are named have one name."""
        # Outputs' dimensions are often named by no rule at all; inputs' names are the exporter's promise.
        return self.has_free_rows and all(spec.shape[:1] == (-1,) and not spec.optional for spec in self.outputs)

    @cached_property
    def has_free_rows(self) -> bool:
        """Every input is always there and begins with a variable dimension, and those that are named have one name."""
        names = {spec.dimensions[0] for spec in self.inputs if spec.dimensions and isinstance(spec.dimensions[0], str)}
        is_first = all(spec.shape[:1] == (-1,) and not spec.optional for spec in self.inputs)
        return bool(self.inputs) and len(names) <= 1 and is_first

    @cached_property
    def elements_per_row(self) -> int | None:
        """Of all inputs together; None where more than the first dimension varies."""
        if not all(spec.shape and all(size >= 0 for size in spec.shape[1:]) for spec in self.inputs):
            return None
        return sum(prod(spec.shape[1:]) for spec in self.inputs)

    @cached_property
    def _inputs_by_name(self) -> dict[str, TensorSpec]:
        return {spec.name: spec for spec in self.inputs}

    @cached_property
    def _outputs_by_name(self) -> dict[str, TensorSpec]:
        return {spec.name: spec for spec in self.outputs}


def blank_inputs(signature: Signature, rows: int = 1, size: int = 1) -> dict[str, np.ndarray[Any, Any]]:
    """Zeros, False or empty strings. `rows`: of a variable first dimension; `size`: of every other variable one.

    What may be left out is.
    """
    return {spec.name: _blank(spec, rows, size) for spec in signature.required_inputs}


def _blank(spec: TensorSpec, rows: int, size: int) -> np.ndarray[Any, Any]:
    shape = tuple((size if axis else rows) if fixed == -1 else fixed for axis, fixed in enumerate(spec.shape))
    if spec.datatype == "BYTES":
        return np.full(shape, "", dtype=np.object_)
    return np.zeros(shape, dtype=NUMPY_TYPES[spec.datatype])


def dimension_mismatch(signature: Signature, arrays: dict[str, np.ndarray[Any, Any]]) -> str | None:
    """A sentence about two inputs that give one symbol two sizes, or None.

    Some exporters name dimensions carelessly and the runtime doesn't mind, so this explains a failure but forbids none.
    """
    sizes: dict[str, tuple[str, int]] = {}
    for spec in signature.inputs:
        if spec.name not in arrays:
            continue
        for symbol, size in zip(spec.dimensions, arrays[spec.name].shape, strict=False):
            if not isinstance(symbol, str):
                continue
            other, agreed = sizes.setdefault(symbol, (spec.name, size))
            if agreed != size:
                return f"dimension {symbol!r} is {agreed} in input {other} and {size} in input {spec.name}"
    return None
