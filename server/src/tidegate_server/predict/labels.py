"""Understands labels.json: the names of a model's classes, and what else its owner wants to say about them. Pure.

["negative", "positive"]
{"0": "negative", "1": "positive"}                 also under "id2label", as in a config.json of transformers
{"labels": ["ham", "spam"], "positive": "spam", "output": "logits", "scores": "softmax", "max_length": 256}

What transformers' config.json says is understood in the same words. No name is made up: a class without one has none.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tidegate_server.predict.package_files import unusable

LABELS_FILE = "labels.json"
CONFIG_FILE = "config.json"
MAX_LABELS = 100_000
MAX_NAME_CHARACTERS = 200
MAX_LENGTH = 2**16  # tokens; no model takes more in one piece

Scores = Literal["softmax", "sigmoid", "none", "raw"]
"""How the numbers become scores between 0 and 1; "none": they are scores already; "raw": they are no scores at all."""

_FIELDS = ("labels", "positive", "output", "scores", "max_length")
_POSITIVE = "positive"
_SCORES_OF_PROBLEM: Mapping[str, Scores] = {
    "single_label_classification": "softmax",
    "multi_label_classification": "sigmoid",
    "regression": "raw",
}
"""By what transformers calls `problem_type`; its own pipelines compute the same."""
_CLASSIFYING = "Classification"
"""In the names of all of transformers' architectures whose columns are the classes of `id2label`."""


@dataclass(frozen=True)
class Labels:
    """What labels.json or config.json says; the defaults where it says nothing."""

    names: tuple[str, ...] = ()
    """In the order of the classes; empty when the file says nothing about them."""
    positive: int | None = None
    """The class of two that makes "positive" true in an answer; None leaves the field out."""
    output: str | None = None
    scores: Scores | None = None
    max_length: int | None = None
    """Tokens of a text that the model is given at most."""
    file: str = LABELS_FILE
    """Which file says so, for sentences about it."""


def parse_config(document: Any, file: str = CONFIG_FILE) -> Labels | None:
    """What a config.json of transformers says of classes; None where the model has none. Raises ModelRefused.

    Its architecture decides: models of other kinds carry an `id2label` that nobody means.
    """
    if not isinstance(document, dict) or not _classifies(document):
        return None
    given = document.get("id2label")
    names = _names(_as_text(given), file) if given else ()
    problem = document.get("problem_type")
    scores = _SCORES_OF_PROBLEM.get(problem) if isinstance(problem, str) else None
    if scores == "softmax" and len(names) == 1:
        scores = None  # a softmax over one column is 1 whatever the model says
    if scores in ("sigmoid", "raw"):
        _require_different(names, file)  # the answer has a number by each name
    if not names and scores != "raw":
        return None
    return Labels(names, _named_positive(names), scores=scores, file=file)


def _as_text(id2label: Any) -> Any:
    """Classes that are called 1 to 5 are numbers in some files."""
    if not isinstance(id2label, dict):
        return id2label
    return {key: str(name) if type(name) is int else name for key, name in id2label.items()}


def _classifies(document: Mapping[str, Any]) -> bool:
    architectures = document.get("architectures")
    if not architectures:
        return bool(document.get("id2label"))
    return isinstance(architectures, list) and any(_CLASSIFYING in str(name) for name in architectures)


def parse_labels(document: Any) -> Labels:
    """Raises ModelRefused with a sentence that names the field."""
    if isinstance(document, dict) and "id2label" in document:
        # A whole config.json has dozens of other fields; here somebody has meant it.
        return parse_config({**document, "architectures": None}, LABELS_FILE) or Labels()
    fields = _fields_of(document)
    unknown = sorted(set(fields) - set(_FIELDS))
    if unknown:
        raise unusable(LABELS_FILE, f"unknown field {unknown[0]!r}; it may have {', '.join(_FIELDS)}")
    names = _names(fields["labels"], LABELS_FILE) if "labels" in fields else ()
    _require_different(names, LABELS_FILE)
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
    # Without "labels" it still says something about texts, such as their longest.
    return document if isinstance(document, dict) and set(document) & set(_FIELDS) else {"labels": document}


def _names(given: Any, file: str) -> tuple[str, ...]:
    listed = _in_order(given, file) if isinstance(given, dict) else given
    if not isinstance(listed, list) or not listed or not all(isinstance(name, str) and name for name in listed):
        raise unusable(file, 'labels must be a list of names such as ["negative", "positive"], one per class')
    if len(listed) > MAX_LABELS or max(map(len, listed)) > MAX_NAME_CHARACTERS:
        sentence = f"at most {MAX_LABELS} labels of {MAX_NAME_CHARACTERS} characters each; shorten the list"
        raise unusable(file, sentence)
    return tuple(listed)


def _require_different(names: tuple[str, ...], file: str) -> None:
    # Some have two classes of one name: of ImageNet's thousand, a crane is a bird and a machine.
    if len(set(names)) != len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise unusable(file, f"label {twice!r} is given twice; give each class a name of its own")


def _in_order(given: Mapping[str, Any], file: str) -> list[Any]:
    keys = [str(position) for position in range(len(given))]
    missing = next((key for key in keys if key not in given), None)
    if missing is not None:
        sentence = f"{len(given)} labels need the keys 0 to {len(given) - 1}, and {missing} is missing; number them"
        raise unusable(file, sentence)
    return [given[key] for key in keys]


def _positive(fields: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    if "positive" not in fields:
        return _named_positive(names)
    name = fields["positive"]
    if name is None:
        return None
    if name not in names:
        raise unusable(LABELS_FILE, f"positive is {_shown(name)}, which is no label; give one of the labels, or null")
    return names.index(name)


def _named_positive(names: tuple[str, ...]) -> int | None:
    """The one of two labels that is called so, in whatever case. Of "ham" and "spam" nobody can know."""
    called = [position for position, name in enumerate(names) if name.lower() == _POSITIVE]
    return called[0] if len(names) == 2 and len(called) == 1 else None


def _optional(fields: Mapping[str, Any], field: str, fits: Callable[[Any], bool], wanted: str) -> Any:
    value = fields.get(field)
    if value is not None and not fits(value):
        raise unusable(LABELS_FILE, f"{field} is {_shown(value)}; give {wanted}")
    return value


def _is_length(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MAX_LENGTH


def _shown(value: Any) -> str:
    return repr(value)[:MAX_NAME_CHARACTERS]
