#!/usr/bin/env python3
"""Asks candidate and stable the labelled requests of GOLDEN, and compares who is right, request by request.

A line is {"body": …, "label": …}: the body of a request to /predict, or to "path" where the line has one, and the right
answer. Requests on which both are right or both are wrong tell nothing of which is better; McNemar's test goes by the
others. The candidate goes on if that shows that it loses less than SCORE_ACCEPT of accuracy (at most 5 % of those that
lose more get through). It is stopped if that shows that it loses more than SCORE_TOLERATE (at most 1 % of those that
don't are stopped so), and also if neither is shown: then GOLDEN is too small to tell.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tidegate.judge.agreement import Agreement, AgreementRules, Pairs, answer_of

from serving import served
from settings import WORK, Refused, Settings
from stage import keep, kept, run

ANSWER_SECONDS = 60


@dataclass(frozen=True)
class Example:
    """A request whose right answer is known."""

    path: str
    body: bytes
    label: Any


@dataclass(frozen=True)
class Score:
    """How two models fare on the same examples, of which there are as many as `of` says."""

    of: int
    candidate: int
    """Examples that it answered right."""
    stable: int
    lost: int
    """That stable answered right and the candidate didn't."""
    won: int
    """The other way round."""

    def answer(self, rules: AgreementRules) -> Agreement:
        """DIFFERS: the candidate is less accurate. Stable's noise is here what the candidate has won."""
        return answer_of(Pairs(self.of, differed=self.lost, noisy=self.won), rules)

    def __str__(self) -> str:
        shares = f"{self.candidate / self.of:.1%} of {self.of:,} right, stable {self.stable / self.of:.1%}"
        return f"{shares}; stable alone is right on {self.lost:,}, the candidate alone on {self.won:,}"


def score(settings: Settings) -> str:
    """The stage."""
    examples = read(settings.file("GOLDEN", "golden.jsonl"))
    rules = AgreementRules(share(settings, "SCORE_TOLERATE", "0%"), share(settings, "SCORE_ACCEPT", "3%"))
    least = share(settings, "SCORE_LEAST", "0%")
    has_stable = bool(kept("stable", "fetch"))
    stable = right_on(WORK / "stable", examples, is_measure=True) if has_stable else []
    candidate = right_on(WORK / "candidate", examples, is_measure=not has_stable)
    right = sum(candidate) / len(examples)
    if right < least:
        raise Refused(f"{right:.1%} of {len(examples):,} right, and SCORE_LEAST is {least:.1%}; train it further")
    if not has_stable:
        return f"{right:.1%} of {len(examples):,} right; there is no stable model to compare it with"
    found = compared(candidate, stable)
    keep("score", vars(found))
    more_than = f", by more than {rules.tolerate:.1%}" if rules.tolerate else ""
    said = {
        Agreement.DIFFERS: f"it is less accurate{more_than}: {found}; train it further",
        Agreement.UNDECIDED: f"whether it loses less than {rules.accept:.1%} isn't plain: {found}; "
        "put more examples into GOLDEN, or raise SCORE_ACCEPT",
    }
    answer = found.answer(rules)
    if answer in said:
        raise Refused(said[answer])
    return f"it loses less than {rules.accept:.1%}: {found}"


def compared(candidate: Sequence[bool], stable: Sequence[bool]) -> Score:
    """From who was right on which example."""
    pairs = list(zip(candidate, stable, strict=True))
    lost, won = pairs.count((False, True)), pairs.count((True, False))
    return Score(len(pairs), sum(candidate), sum(stable), lost, won)


def read(file: Path) -> list[Example]:
    """Raises Refused, with the line and what is wrong with it."""
    found = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            document = json.loads(line)
        except ValueError as error:
            raise Refused(f"GOLDEN: {file}, line {number}: {error}; each line must be JSON") from error
        if not isinstance(document, Mapping) or not {"body", "label"} <= document.keys():
            raise Refused(f'GOLDEN: {file}, line {number}: it has to be {{"body": …, "label": …}}')
        found.append(
            Example(document.get("path", "/predict"), json.dumps(document["body"]).encode(), document["label"])
        )
    if not found:
        raise Refused(f"GOLDEN: {file} has no examples; each line has to be one")
    return found


def share(settings: Settings, name: str, otherwise: str) -> float:
    """Of 1. Raises Refused."""
    text = settings.get(name, otherwise)
    try:
        return float(text.removesuffix("%")) / 100
    except ValueError as error:
        raise Refused(f"{name}: {text!r} is no share; write it as in 3%") from error


def right_on(model: Path, examples: Sequence[Example], *, is_measure: bool) -> list[bool]:
    """On which of the examples a model is right.

    Raises Refused where it doesn't start; and where it is the measure and answers one of them with no label, or none of
    them right: then the examples are wrong, and not the model.
    """
    with served(model) as (url, _):
        connection = HTTPConnection(urlsplit(url).netloc, timeout=ANSWER_SECONDS)
        try:
            answers = [ask(connection, each) for each in examples]
        finally:
            connection.close()
    found = [answer.label for answer in answers]
    right = [label == each.label for label, each in zip(found, examples, strict=True)]
    if is_measure and None in found:
        at = found.index(None)
        raise Refused(f"GOLDEN: example {at + 1} isn't answered with a label by {model}: {answers[at].said}; mend it")
    if is_measure and not any(right):
        told = f"it says {found[0]!r} where GOLDEN says {examples[0].label!r}"
        raise Refused(f"GOLDEN: {model} is right on none of {len(examples):,} examples: {told}; name labels as it does")
    return right


@dataclass(frozen=True)
class Answer:
    """What a model says to one example. `label` is None where it says none, and `said` then why."""

    label: Any
    said: str = ""


def ask(connection: HTTPConnection, example: Example) -> Answer:
    """One example."""
    try:
        connection.request("POST", example.path, example.body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            return Answer(None, f"{response.status} {body[:200].decode(errors='replace')}")
        return Answer(label_of(json.loads(body)), "the answer has no label, whole number, text or columns")
    except (OSError, HTTPException, ValueError) as error:
        connection.close()
        return Answer(None, str(error) or type(error).__name__)


def label_of(answer: Mapping[str, Any]) -> Any:
    """Of the first row: `label` of /predict, else a tensor's whole number or text, else its best column, else None."""
    if "label" in answer:
        return answer["label"]
    if predictions := answer.get("predictions"):
        return predictions[0].get("label")
    rows = list(first_rows(answer.get("outputs") or []))
    plain = [row[0] for row in rows if len(row) and isinstance(row[0], int | str)]
    columns = [row for row in rows if len(row) > 1 and isinstance(row[0], float)]
    if plain:
        return plain[0]
    return max(range(len(columns[0])), key=columns[0].__getitem__) if columns else None


def first_rows(outputs: Any) -> Iterator[Sequence[Any]]:
    """Of each output: those of the Open Inference Protocol are flat, those of /predict nested."""
    if isinstance(outputs, Mapping):
        yield from (rows[0] if isinstance(rows[0], list) else rows[:1] for rows in outputs.values() if rows)
        return
    for tensor in outputs:
        yield tensor["data"][: tensor["shape"][-1] if len(tensor["shape"]) > 1 else 1]


if __name__ == "__main__":
    sys.exit(run("score", score))
