"""One run for several requests: their rows one below the other, and to each the outputs of its own."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tidegate_server.errors import ModelFailed
from tidegate_server.inference.model import CancelToken, Model
from tidegate_server.inference.queue import QueuedRequest, total_rows
from tidegate_server.protocol.padding import width_of
from tidegate_server.protocol.tensors import Array, Outputs


class BatchResult(NamedTuple):
    """Each member's outputs, or why there are none; and the outputs of the whole batch, where it ran as one."""

    parts: "Sequence[Outputs | ModelFailed]"
    whole: Outputs | None


def run_batch(
    model: Model, batch: Sequence[QueuedRequest], names: tuple[str, ...], cancel_token: CancelToken | None
) -> BatchResult:
    """Where the run fails, its members run one by one: a bad row fails alone."""
    if len(batch) <= 1:
        return _run_one_by_one(model, batch, cancel_token)
    try:
        arrays = _joined(batch)
        results = model.run(arrays, names, cancel_token)
    except (ModelFailed, MemoryError, ValueError):
        return _run_one_by_one(model, batch, cancel_token)
    rows = total_rows(batch)
    if any(result.ndim == 0 or result.shape[0] != rows for result in results):
        return _run_one_by_one(model, batch, cancel_token)
    outputs = dict(zip(names, results, strict=True))
    return BatchResult(_outputs_by_request(batch, outputs), outputs)


def _run_one_by_one(model: Model, batch: Sequence[QueuedRequest], cancel_token: CancelToken | None) -> BatchResult:
    parts: list[Outputs | ModelFailed] = []
    for item in batch:
        try:
            results = model.run(item.request.arrays, item.names, cancel_token)
        except ModelFailed as error:
            parts.append(error)
        else:
            parts.append(dict(zip(item.names, results, strict=True)))
    whole = parts[0] if len(parts) == 1 and not isinstance(parts[0], ModelFailed) else None
    return BatchResult(parts, whole)


def _joined(batch: Sequence[QueuedRequest]) -> dict[str, Array]:
    """Their rows one below the other, as long as the longest."""
    first = batch[0].request
    columns = {name: [item.request.arrays[name] for item in batch] for name in first.arrays}
    if first.padding is None:
        return {name: np.concatenate(arrays) for name, arrays in columns.items()}
    return {name: first.padding.joined(name, arrays) for name, arrays in columns.items()}


def _outputs_by_request(batch: Sequence[QueuedRequest], outputs: Outputs) -> Sequence[Outputs]:
    parts = []
    begin = 0
    for item in batch:
        end = begin + item.rows
        parts.append(_own_outputs(item, {name: outputs[name][begin:end] for name in item.names}))
        begin = end
    return parts


def _own_outputs(item: QueuedRequest, rows: dict[str, Array]) -> Outputs:
    padding = item.request.padding
    if padding is None:
        return rows
    width = width_of(item.request.arrays)
    return {name: padding.trimmed(name, array, width) for name, array in rows.items()}


def all_names(batch: Sequence[QueuedRequest]) -> tuple[str, ...]:
    """Of the outputs that any of them wants."""
    names = batch[0].names
    if all(item.names == names for item in batch):
        return names
    return tuple(dict.fromkeys(name for item in batch for name in item.names))
