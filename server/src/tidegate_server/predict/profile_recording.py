"""Writes a training-profile.json from samples of the training data. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from tidegate_server.errors import InvalidRequest
from tidegate_server.predict.profile_file import MAX_BINS, MAX_FEATURES, MAX_NAME, MEAN, is_category
from tidegate_server.protocol.tensors import Array

MIN_ROWS = 100
"""Of fewer, nobody could say how they are distributed."""
DIGITS = 12

Names = Mapping[str, Sequence[str]]
"""What the columns of an input are called, where somebody has named them."""


def record_profile(samples: Mapping[str, Array], names: Names, bins: int) -> bytes:
    """`samples` by input, each with a row first. Numbers get bins of about as many values each, `bins` at most.

    An input of more columns than a profile may have features is told by the mean of its rows. Raises InvalidRequest.
    """
    if not 1 <= bins <= MAX_BINS:
        raise InvalidRequest(f"--bins must be from 1 to {MAX_BINS}")
    if any(len(array) < MIN_ROWS for array in samples.values()):
        raise InvalidRequest(f"the data has {min(map(len, samples.values()))} rows; give {MIN_ROWS} or more")
    features = [_feature(*column, bins) for column in _columns(samples, names)]
    return orjson.dumps({"features": features}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _columns(samples: Mapping[str, Array], names: Names) -> Iterator[tuple[dict[str, Any], Array]]:
    """What a feature is, and its values."""
    left = MAX_FEATURES - len(samples)
    for name, array in samples.items():
        rows = array.reshape(len(array), -1)
        width = rows.shape[1]
        if width == 1:
            yield {"input": name}, rows[:, 0]
        elif width - 1 > left or width == 0:
            if array.dtype.kind == "O" or width == 0:
                raise InvalidRequest(
                    f"input {name!r} has {width} strings in a row; a profile has {MAX_FEATURES} features"
                )
            yield {"input": name, "column": MEAN}, rows.mean(axis=1, dtype=np.float64)
        else:
            left -= width - 1
            called = names.get(name, ())
            for column in range(width):
                named = {"name": called[column][:MAX_NAME]} if called and called[column] else {}
                yield {"input": name, "column": column, **named}, rows[:, column]


def _feature(fields: dict[str, Any], values: Array, bins: int) -> dict[str, Any]:
    if values.dtype.kind == "O":
        return {**fields, **_by_category(values)}
    numbers = values.astype(np.float64)
    missing = np.isnan(numbers)
    finite = numbers[~missing]
    if not finite.size or not np.isfinite(finite).all():
        what = "no number" if not finite.size else "infinity"
        raise InvalidRequest(f"input {fields['input']!r}, column {fields.get('column', 0)}: the data has {what} there")
    edges = _edges(finite, bins)
    counts, _ = np.histogram(finite, edges)
    return {**fields, "edges": edges, "counts": counts.tolist(), "missing": int(missing.sum())}


def _edges(values: Array, bins: int) -> list[float]:
    """By quantiles; a value that is frequent has a bin of its own, and so has each where there are few."""
    different, counts = np.unique(values, return_counts=True)
    # Bins are called by their edges, in so many digits.
    if f"{different[0]:.{DIGITS}g}" == f"{different[-1]:.{DIGITS}g}":
        only = float(different[0])
        half = max(1.0, abs(only)) / 2
        return [only - half, only + half]
    if len(different) <= bins:
        between = (different[:-1] + different[1:]) / 2
        return _apart([different[0], *between, different[-1]])
    places = np.flatnonzero(counts * bins > len(values))
    rest = values[~np.isin(values, different[places])]
    edges = np.quantile(rest, np.linspace(0, 1, max(1, bins - len(places)) + 1))
    alone = different[np.minimum(np.concatenate([places, places + 1]), len(different) - 1)]
    found = _apart(sorted([different[0], *edges, *alone, different[-1]]))
    return found if len(found) <= MAX_BINS + 1 else _apart(np.quantile(values, np.linspace(0, 1, bins + 1)))


def _apart(edges: Iterable[float]) -> list[float]:
    """Those that have names of their own; the last one stays where it is."""
    *others, last = map(float, edges)
    apart = {f"{edge:.{DIGITS}g}": edge for edge in reversed(others)}
    apart.pop(f"{last:.{DIGITS}g}", None)
    return [*sorted(apart.values()), last]


def _by_category(values: Array) -> dict[str, Any]:
    counted = Counter(map(str, values.tolist()))
    usable = [(name, count) for name, count in counted.most_common() if is_category(name)][:MAX_BINS]
    if not usable:
        sentence = f"each string of the data is empty or longer than {MAX_NAME} characters, so none is a category"
        raise InvalidRequest(sentence)
    counts, missing = [count for _, count in usable], counted[""]
    other = len(values) - sum(counts) - missing
    return {"categories": [name for name, _ in usable], "counts": counts, "other": other, "missing": missing}
