"""Understands labels.json: the names of a model's classes, and what else its owner wants to say about them. Pure.

["negative", "positive"]
{"0": "negative", "1": "positive"}                 also under "id2label", as in a config.json of transformers
{"labels": ["ham", "spam"], "positive": "spam", "output": "logits", "scores": "softmax", "max_length": 256}
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tidegate_server.predict.package_files import unusable

LABELS_FILE = "labels.json"
MAX_LABELS = 100_000
MAX_NAME_CHARACTERS = 200
MAX_LENGTH = 2**16  # tokens; no model takes more in one piece

Scores = Literal["softmax", "sigmoid", "none"]
"""How the numbers become scores between 0 and 1; "none": they are scores already."""

_FIELDS = ("labels", "positive", "output", "scores", "max_length")


@dataclass(frozen=True)
class Labels:
    """What labels.json says; the defaults where it says nothing."""

    names: tuple[str, ...] = ()
    """In the order of the classes; empty when the file says nothing about them."""
    positive: int | None = 1
    """The class of two that makes "positive" true in an answer; None leaves the field out."""
    output: str | None = None
    scores: Scores | None = None
    max_length: int | None = None
    """Tokens of a text that the model is given at most."""


def binary_labels() -> Labels:
    """The default for a text model with two classes."""
    return Labels(names=("negative", "positive"))


def parse_labels(document: Any) -> Labels:
    """Raises ModelRefused with a sentence that names the field."""
    fields = _fields_of(document)
    unknown = sorted(set(fields) - set(_FIELDS))
    if unknown:
        raise unusable(LABELS_FILE, f"unknown field {unknown[0]!r}; it may have {', '.join(_FIELDS)}")
    names = _names(fields["labels"]) if "labels" in fields else ()
    choices = get_args(Scores)
    return Labels(
        names=names,
        positive=_positive(fields, names),
        output=_optional(
            fields, "output", lambda value: isinstance(value, str), "the name of one of the model's outputs"
        ),
        scores=_optional(fields, "scores", lambda value: value in choices, f"one of {', '.join(choices)}"),
        max_length=_optional(fields, "max_length", _is_length, f"a whole number of tokens, 1 to {MAX_LENGTH}"),
    )


def _fields_of(document: Any) -> Mapping[str, Any]:
    if isinstance(document, dict) and "id2label" in document:
        return {"labels": document["id2label"]}  # a whole config.json has dozens of other fields
    # Without "labels" it's fine for a text model, whose two classes have names by default.
    return document if isinstance(document, dict) and set(document) & set(_FIELDS) else {"labels": document}


def _names(given: Any) -> tuple[str, ...]:
    listed = _in_order(given) if isinstance(given, dict) else given
    if not isinstance(listed, list) or not listed or not all(isinstance(name, str) and name for name in listed):
        raise unusable(LABELS_FILE, 'labels must be a list of names such as ["negative", "positive"], one per class')
    if len(listed) > MAX_LABELS or max(map(len, listed)) > MAX_NAME_CHARACTERS:
        sentence = f"at most {MAX_LABELS} labels of {MAX_NAME_CHARACTERS} characters each; shorten the list"
        raise unusable(LABELS_FILE, sentence)
    if len(set(listed)) != len(listed):
        twice = Counter(listed).most_common(1)[0][0]
        raise unusable(LABELS_FILE, f"label {twice!r} is given twice; give each class a name of its own")
    return tuple(listed)


def _in_order(given: Mapping[str, Any]) -> list[Any]:
    keys = [str(position) for position in range(len(given))]
    missing = next((key for key in keys if key not in given), None)
    if missing is not None:
        sentence = f"{len(given)} labels need the keys 0 to {len(given) - 1}, and {missing} is missing; number them"
        raise unusable(LABELS_FILE, sentence)
    return [given[key] for key in keys]


def _positive(fields: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    known = names or binary_labels().names
    name = fields.get("positive", known[1] if len(known) == 2 else None)
    if name is None:
        return None
    if name not in known:
        raise unusable(LABELS_FILE, f"positive is {_shown(name)}, which is no label; give one of the labels, or null")
    return known.index(name)


def _optional(fields: Mapping[str, Any], field: str, fits: Callable[[Any], bool], wanted: str) -> Any:
    value = fields.get(field)
    if value is not None and not fits(value):
        raise unusable(LABELS_FILE, f"{field} is {_shown(value)}; give {wanted}")
    return value


def _is_length(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MAX_LENGTH


def _shown(value: Any) -> str:
    return repr(value)[:MAX_NAME_CHARACTERS]
