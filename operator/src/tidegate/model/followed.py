"""Names of models that may mean another one tomorrow, and when what they mean now is believed. Pure.

An alias of a registry's, a tag, a branch. What one means is a URI that never means anything else, and that is what a
revision is made of.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from tidegate.errors import InvalidSpec
from tidegate.model.reasons import Reason, StatusMessage
from tidegate.model.units import format_duration, parse_duration

AGREEING = 2
"""Looks in a row that have to have one answer before it is followed; twice as many for each change too many."""
MOST_AGREEING = 64
CALM = 10
"""After so many equal answers earlier changes are forgotten."""
UNSETTLED_PAUSE = timedelta(seconds=15)
"""From one look to the next, at most, while an answer isn't believed yet."""
CHANGES_TOLD = 2
SHORTEST, LONGEST = timedelta(seconds=10), timedelta(hours=24)
MUTABLE = re.compile(r"models:/[^/]+@[^/@]+|oci://[^@]+|hf://.+")


@dataclass(frozen=True)
class FollowedModel:
    """What is recorded of a name that is followed: a restart while its registry is away changes nothing."""

    uri: str
    """As the spec has it."""
    resolved: str
    """The URI that it means, which never means anything else."""
    since: datetime


@dataclass(frozen=True)
class Answers:
    """What looks at a name have come to. `times`: how many in a row had this answer. `problem`: of the last look."""

    uri: str
    answer: str = ""
    times: int = 0
    changes: int = 0
    """How often the answer has changed of late."""
    problem: str = ""

    def with_answer(self, answer: str) -> "Answers":
        """After one more look."""
        if answer != self.answer:
            changes = self.changes + 1 if self.answer else 0
            return Answers(self.uri, answer, 1, changes)
        times = min(self.times + 1, MOST_AGREEING)
        changes = 0 if times >= max(CALM, self.needed) else self.changes
        return Answers(self.uri, answer, times, changes)

    def with_problem(self, problem: str) -> "Answers":
        """After a look that had no answer: what was answered before is still the last word."""
        return replace(self, problem=problem)

    @property
    def needed(self) -> int:
        """How many looks in a row have to have one answer."""
        return min(AGREEING << min(max(0, self.changes - 1), MOST_AGREEING), MOST_AGREEING)

    @property
    def is_settled(self) -> bool:
        """Whether the answer is believed where another one is known."""
        return self.times >= self.needed

    def pause(self, every: timedelta) -> timedelta:
        """Until the next look."""
        return every if self.is_settled else min(every, UNSETTLED_PAUSE)


def parse_follow(model: Mapping[str, Any]) -> timedelta | None:
    """How often `spec.model.follow` wants to have looked. Raises KeyError, ValueError or InvalidSpec."""
    follow = model.get("follow")
    if follow is None:
        return None
    every = parse_duration(follow["every"])
    if not SHORTEST <= every <= LONGEST:
        bounds = f"{format_duration(SHORTEST)} and {format_duration(LONGEST)}"
        raise InvalidSpec(f"spec.model.follow.every must be between {bounds}")
    if not MUTABLE.fullmatch(model["uri"]):
        raise InvalidSpec(
            "spec.model.follow needs a spec.model.uri that may mean another model tomorrow: models:/NAME@ALIAS, "
            "oci:// with a tag, or hf://; leave follow out in the same change for a model that stays what it is"
        )
    if model.get("sha256"):
        raise InvalidSpec("spec.model.sha256 can't be set beside spec.model.follow; leave one of them out")
    return every


def followed_model(
    uri: str, recorded: FollowedModel | None, answers: Answers | None, now: datetime
) -> FollowedModel | None:
    """What a name means from now on; None where nobody has said so yet."""
    known = recorded if recorded and recorded.uri == uri else None
    if answers is None or answers.uri != uri or not answers.answer:
        return known
    if known is None:
        return FollowedModel(uri, answers.answer, now)
    if answers.answer == known.resolved or not answers.is_settled:
        return known
    return FollowedModel(uri, answers.answer, now)


def caution(known: FollowedModel, answers: Answers | None) -> StatusMessage | None:
    """What people should know of a name that is followed."""
    if answers is None or answers.uri != known.uri:
        return None
    if answers.problem:
        message = f"{known.uri} can't be looked up: {answers.problem}; {known.resolved} stays meant"
        return StatusMessage(Reason.REFERENCE_UNKNOWN, message)
    if answers.is_settled or answers.changes < CHANGES_TOLD:
        return None
    message = (
        f"{known.uri} keeps changing, {answers.changes} times of late, and is {answers.answer} now; it is followed "
        f"when {answers.needed} looks in a row have had one answer, and until then {known.resolved} stays meant"
    )
    return StatusMessage(Reason.REFERENCE_UNSETTLED, message)
