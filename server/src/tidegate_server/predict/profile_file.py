"""training-profile.json: how a model's inputs were distributed in training. Pure.

    {"features": [{"input": "x", "column": 2, "name": "age", "edges": [18, 40, 65, 99], "counts": [310, 420, 120]},
                  {"input": "country", "categories": ["de", "fr"], "counts": [600, 240], "other": 10}]}

`edges` and `counts` are as numpy.histogram gives them.
"""

import math
from collections import Counter
from itertools import pairwise
from math import prod
from typing import Any, NoReturn

from tidegate_server.predict.package_files import unusable
from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.training_profile import ANY_OTHER, MISSING, Feature, TrainingProfile

PROFILE_FILE = "training-profile.json"
MAX_PROFILE_BYTES = 2**20
MAX_FEATURES, MAX_BINS = 64, 32
MAX_NAME = 64
MAX_COUNT = 2**53
MEAN = "mean"
_FIELDS = ("input", "column", "name", "edges", "categories", "counts", "missing", "other")


def parse_profile(document: Any, signature: Signature) -> TrainingProfile:
    """Raises ModelRefused with a sentence that names the feature and the field."""
    features = document.get("features") if isinstance(document, dict) and len(document) == 1 else None
    if not isinstance(features, list) or not 1 <= len(features) <= MAX_FEATURES:
        raise unusable(PROFILE_FILE, f'it must be {{"features": [...]}} with 1 to {MAX_FEATURES} features')
    found = [_feature(f"feature {number}", each, signature) for number, each in enumerate(features, 1)]
    (name, times), *_ = Counter(feature.name for feature in found).most_common(1)
    if times > 1:
        raise unusable(PROFILE_FILE, f"{times} features are called {name!r}; give each a name of its own")
    return TrainingProfile(tuple(found), by_row=signature.has_free_rows)


def _feature(where: str, fields: Any, signature: Signature) -> Feature:
    if not isinstance(fields, dict):
        _refuse(where, "must be an object")
    if unknown := sorted(set(fields) - set(_FIELDS)):
        _refuse(where, f"has an unknown field {unknown[0]!r}; it may have {', '.join(_FIELDS)}")
    spec = signature.input(fields["input"]) if isinstance(fields.get("input"), str) else None
    if spec is None:
        names = ", ".join(sorted(each.name for each in signature.inputs))
        _refuse(where, f"input must be one of the model's: {names}")
    if ("edges" in fields) == ("categories" in fields):
        _refuse(where, 'needs either "edges", for numbers, or "categories", for strings')
    if ("categories" in fields) != (spec.datatype == "BYTES"):
        kind = "strings: give categories" if spec.datatype == "BYTES" else "numbers: give edges"
        _refuse(where, f"input {spec.name!r} has {kind}")
    column = _column(where, fields.get("column"), spec, signature)
    name = fields.get("name", _name(spec, column))
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        _refuse(where, f"name must be a string of 1 to {MAX_NAME} printable characters")
    missing = _count(where, "missing", fields.get("missing", 0))
    if "categories" in fields:
        categories = _categories(where, fields["categories"])
        other = _count(where, "other", fields.get("other", 0))
        counts = (*_counts(where, fields.get("counts"), len(categories)), other, missing)
        feature = Feature(name, spec.name, column, counts, categories=categories)
    else:
        if "other" in fields:
            _refuse(where, "other is for categories; leave it out where there are edges")
        edges = _edges(where, fields["edges"])
        counts = (0, *_counts(where, fields.get("counts"), len(edges) - 1), 0, missing)
        feature = Feature(name, spec.name, column, counts, edges=edges)
    if not sum(counts):
        _refuse(where, "counts must be more than 0 together")
    return feature


def _name(spec: TensorSpec, column: int | None) -> str:
    if column is None:
        return f"{MEAN}({spec.name})"
    return spec.name if column == 0 and _row_size(spec, by_row=True) in (1, None) else f"{spec.name}[{column}]"


def _column(where: str, column: Any, spec: TensorSpec, signature: Signature) -> int | None:
    """The place in a row; None for the mean."""
    size = _row_size(spec, by_row=signature.has_free_rows)
    if column == MEAN:
        if spec.datatype == "BYTES":
            _refuse(where, f"column must be a number: strings have no {MEAN}")
        return None
    if column is None:
        if size not in (1, None):
            _refuse(where, f'needs a column from 0 to {size - 1}, or "{MEAN}": input {spec.name!r} has {size} in a row')
        return 0
    if type(column) is not int or column < 0 or (size is not None and column >= size):
        most = "" if size is None else f" to {size - 1}"
        _refuse(where, f'column must be a whole number from 0{most}, or "{MEAN}"')
    return column


def _row_size(spec: TensorSpec, *, by_row: bool) -> int | None:
    """Values in a row; None where the graph doesn't say."""
    sizes = spec.shape[1:] if by_row else spec.shape
    return prod(sizes) if all(size >= 0 for size in sizes) else None


def _edges(where: str, edges: Any) -> tuple[float, ...]:
    if not isinstance(edges, list) or not 2 <= len(edges) <= MAX_BINS + 1:
        _refuse(where, f"edges must be a list of 2 to {MAX_BINS + 1} numbers")
    if any(type(edge) not in (int, float) or not math.isfinite(edge) for edge in edges):
        _refuse(where, "edges must be finite numbers")
    for low, high in pairwise(edges):
        # Bins are called by their edges, in twelve digits.
        if not low < high or f"{low:.12g}" == f"{high:.12g}":
            _refuse(where, f"edges must grow in their first 12 digits, and {high!r} comes after {low!r}")
    return tuple(map(float, edges))


def _categories(where: str, categories: Any) -> tuple[str, ...]:
    if not isinstance(categories, list) or not 1 <= len(categories) <= MAX_BINS:
        _refuse(where, f"categories must be a list of 1 to {MAX_BINS} strings")
    for category in categories:
        if not is_category(category):
            _refuse(
                where,
                f"categories must be strings of 1 to {MAX_NAME} printable characters, not {ANY_OTHER!r} or {MISSING!r}",
            )
    if len(set(categories)) < len(categories):
        _refuse(where, "categories must be different from one another")
    return tuple(categories)


def is_category(value: Any) -> bool:
    """Whether a bin may be called so. To Prometheus an empty label is none, so an empty string counts as missing."""
    if not isinstance(value, str) or value in (ANY_OTHER, MISSING):
        return False
    return 1 <= len(value) <= MAX_NAME and value.isprintable()


def _counts(where: str, counts: Any, bins: int) -> tuple[int, ...]:
    if not isinstance(counts, list) or len(counts) != bins:
        _refuse(where, f"counts must be a list of {bins} numbers, one for each bin")
    return tuple(_count(where, "counts", count) for count in counts)


def _count(where: str, field: str, count: Any) -> int:
    if type(count) is not int or not 0 <= count <= MAX_COUNT:
        _refuse(where, f"{field} must be whole numbers from 0 to 2**53")
    return count


def _refuse(where: str, sentence: str) -> NoReturn:
    raise unusable(PROFILE_FILE, f"{where}: {sentence}")
