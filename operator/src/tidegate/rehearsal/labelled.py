"""Requests whose answers are known, and who answers how many of them rightly."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tidegate.errors import TidegateError
from tidegate.judge.accuracy import Accuracy, expected_classes, predicted
from tidegate.judge.answers import Reply
from tidegate.rehearsal.agreement import Ask
from tidegate.rehearsal.payloads import Payload, read_requests

EXPECTED = "expected"
LONGEST_WORDS = 200


@dataclass(frozen=True)
class Labelled:
    """A request, the class of each of its rows, and where it is from."""

    payload: Payload
    expected: tuple[str, ...]
    where: str


def read_labelled(lines: Iterable[str], model: str, source: str) -> list[Labelled]:
    """One a line: a request, as `read_requests` has it, with `expected` beside its fields.

    Raises TidegateError, which names the line and what to do.
    """
    return [
        _labelled(line, model, f"{source}, line {number}") for number, line in enumerate(lines, 1) if line.strip()
    ] or _nothing(source)


def accuracy(labelled: Sequence[Labelled], candidate: Ask, stable: Ask | None, answer: str) -> Accuracy:
    """Asks everything of both. Raises TidegateError where a request isn't one for this model."""
    found = Accuracy()
    for each in labelled:
        of_candidate = candidate(each.payload)
        of_stable = stable(each.payload) if stable else None
        if not (of_candidate.is_answer or (of_stable and of_stable.is_answer)):
            raise TidegateError(f"{each.where}: no model answers it ({_words(of_candidate)}); was it made for another?")
        ours = _right(each, of_candidate, answer)
        theirs = _right(each, of_stable, answer) if of_stable else [None] * len(ours)
        for candidate_is_right, stable_is_right in zip(ours, theirs, strict=True):
            found = found.with_row(candidate=candidate_is_right, stable=stable_is_right)
    return found


def _labelled(line: str, model: str, where: str) -> Labelled:
    try:
        document = json.loads(line)
        expected = expected_classes(document.pop(EXPECTED))
    except (ValueError, AttributeError, KeyError):
        raise TidegateError(
            f'{where}: it must be a request as JSON with "{EXPECTED}", the class that is right'
        ) from None
    if not expected:
        raise TidegateError(f'{where}: "{EXPECTED}" must be a label or a whole number, or a list with one for each row')
    (payload,) = read_requests([json.dumps(document)], model, where)
    return Labelled(payload, expected, where)


def _nothing(source: str) -> list[Labelled]:
    raise TidegateError(f"{source} has no requests; each line must be one as JSON, with what is expected")


def _right(labelled: Labelled, reply: Reply, answer: str) -> list[bool]:
    """Of each row. Who refuses what the other answers has it wrong."""
    if not reply.is_answer:
        return [False] * len(labelled.expected)
    found = predicted(reply.body, answer)
    if not found:
        named = f"no output {answer} with classes" if answer else "no classes"
        raise TidegateError(f"{labelled.where}: the answer has {named}; name the output that has them with --answer")
    if len(found) != len(labelled.expected):
        raise TidegateError(
            f'{labelled.where}: "{EXPECTED}" has {len(labelled.expected)}, and the answer {len(found)} classes; give '
            "one for each row"
        )
    return [ours == theirs for ours, theirs in zip(found, labelled.expected, strict=True)]


def _words(reply: Reply) -> str:
    """A server's own, as it says what is wrong with a request."""
    if not reply.status:
        return "nobody can be reached"
    try:
        said = json.loads(reply.body)["error"]
    except (ValueError, KeyError, TypeError):
        return f"HTTP {reply.status}"
    return f"HTTP {reply.status}: {' '.join(str(said).split())[:LONGEST_WORDS]}"
