"""Whether texts of different lengths may share a run: tried with padding as the tokenizer says it is done."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tidegate_server.errors import ModelFailed
from tidegate_server.inference.row_independence import Row, are_close
from tidegate_server.inference.trial_runs import TrialRuns
from tidegate_server.protocol.padding import Padding, bucket, width_of
from tidegate_server.protocol.signature import Signature
from tidegate_server.protocol.tensors import Array

MOST_TEXTS = 8
MAX_WIDTH = 512


def harmless_padding(
    runs: TrialRuns, signature: Signature, real: Sequence[Mapping[str, Array]], padding: Padding | None
) -> Padding | None:
    """With the outputs that go by tokens; None where padding changes an answer, or nothing shows that it doesn't."""
    if padding is None or runs.is_slow:
        return None
    by_width: dict[int, Row] = {}
    for arrays in real:
        if arrays.keys() == padding.fills.keys() and all(array.ndim == 2 for array in arrays.values()):
            by_width.setdefault(width_of(arrays), {name: array[:1] for name, array in arrays.items()})
    rows = [by_width[width] for width in sorted(by_width)][:MOST_TEXTS]
    if len(rows) < 2:
        return None
    try:
        answers = [runs.run(row) for row in rows]
        found = _with_token_outputs(signature, padding, rows, answers)
        return found if found is not None and _changes_nothing(runs, found, rows, answers) else None
    except ModelFailed:
        return None


def _with_token_outputs(
    signature: Signature, padding: Padding, rows: Sequence[Row], answers: Sequence[Row]
) -> Padding | None:
    names = []
    for spec in signature.outputs:
        shapes = [answer[spec.name].shape[1:] for answer in answers]
        widths = [(width_of(row), *shapes[0][1:]) for row in rows]
        if shapes == widths:
            names.append(spec.name)
        elif len(set(shapes)) != 1:
            return None
    return replace(padding, token_outputs=frozenset(names))


def _changes_nothing(runs: TrialRuns, padding: Padding, rows: Sequence[Row], answers: Sequence[Row]) -> bool:
    longest = max(map(width_of, rows))
    for width in (longest, min(MAX_WIDTH, 2 * bucket(longest))):
        if width < longest:
            continue
        together = runs.run(
            {name: np.concatenate([padding.padded(name, row[name], width) for row in rows]) for name in padding.fills}
        )
        for place, (row, answer) in enumerate(zip(rows, answers, strict=True)):
            for name, alone in answer.items():
                own = padding.trimmed(name, together[name][place : place + 1], width_of(row))
                if not are_close(own, alone):
                    return False
    return True
