"""What a model's outputs are, where its file says something else or nothing. Pure.

Converters declare one label for any number of rows, leave a column out, or declare no shape at all. What the model has
answered corrects that; what agrees with its file stays as declared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.tensors import Array


@dataclass(frozen=True)
class Observed:
    """A run's outputs. `rows` is None where rows aren't free."""

    rows: int | None
    outputs: Mapping[str, Array]


def corrected(signature: Signature, runs: Sequence[Observed]) -> Signature:
    """The same signature, or one whose outputs have the shapes that were observed."""
    sizes_are_fixed = signature.elements_per_row is not None
    return replace(
        signature, outputs=tuple(_corrected(spec, runs, sizes_are_fixed=sizes_are_fixed) for spec in signature.outputs)
    )


def corrections(before: Signature, after: Signature) -> list[str]:
    """A sentence for each output that was declared in another way."""
    return [
        f"output {one.name} is declared {list(one.shape)} and answers {list(other.shape)}; metadata say what it answers"
        for one, other in zip(before.outputs, after.outputs, strict=True)
        if one.shape != other.shape
    ]


def _corrected(spec: TensorSpec, runs: Sequence[Observed], *, sizes_are_fixed: bool) -> TensorSpec:
    shapes = [run.outputs[spec.name].shape for run in runs]
    if len({len(shape) for shape in shapes}) != 1:
        return spec
    declared = spec.dimensions if len(spec.dimensions) == len(shapes[0]) else None
    dimensions: list[int | str | None] = []
    for axis, sizes in enumerate(zip(*shapes, strict=True)):
        size = None if declared is None else declared[axis]
        agrees = isinstance(size, str) or (declared is not None and size in (None, -1)) or set(sizes) == {size}
        dimensions.append(size if agrees else _observed(axis, sizes, runs, sizes_are_fixed=sizes_are_fixed))
    return replace(spec, dimensions=tuple(dimensions))


def _observed(axis: int, sizes: Sequence[int], runs: Sequence[Observed], *, sizes_are_fixed: bool) -> int | None:
    is_rows = axis == 0 and all(run.rows == size for run, size in zip(runs, sizes, strict=True))
    return sizes[0] if sizes_are_fixed and len(set(sizes)) == 1 and not is_rows else None
