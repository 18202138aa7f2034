"""The classification extension: an output as the names of its largest values. Pure."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from tidegate_server.protocol.request import RequestedOutput, known_output
from tidegate_server.protocol.signature import Signature
from tidegate_server.protocol.tensors import Array, require_finite, string_array


def requested_array(
    output: RequestedOutput, array: Array, signature: Signature, labels: Sequence[str]
) -> tuple[str, Array]:
    """Datatype and values of an output as the client wants it: as it is, or its best classes as BYTES."""
    if output.classes:
        named = labels or signature.output_classes.get(output.name, ())
        return "BYTES", best_classes(output.name, array, output.classes, named)
    return known_output(output.name, signature).datatype, array


def best_classes(name: str, array: Array, count: int, labels: Sequence[str]) -> Array:
    """BYTES "value:index" or "value:index:label", the largest first, of each row; equal values in their order.

    The first of several dimensions is the batch; the result has shape [batch, count] or [count], with `count` cut to
    the number of classes. Raises NotFiniteOutput, for NaN is neither large nor small.
    """
    require_finite(name, array)
    batch = array.shape[:1] if array.ndim > 1 else ()
    rows = array.reshape(*batch, prod(array.shape[len(batch) :])) if batch else array.reshape(1, array.size)
    kept = min(count, rows.shape[1])
    words = [word for row in rows for word in _best(row, kept, labels)]
    return string_array(words, (*batch, kept))


def _best(row: Array, count: int, labels: Sequence[str]) -> list[str]:
    # Sorted backwards and read backwards, equal values keep their order.
    last = row.size - 1
    best = [last - int(position) for position in np.argsort(row[::-1], kind="stable")[::-1][:count]]
    return [_word(row[index], index, labels) for index in best]


def _word(value: Any, index: int, labels: Sequence[str]) -> str:
    return f"{value!s}:{index}:{labels[index]}" if index < len(labels) else f"{value!s}:{index}"
