"""What a person asks of a rollout: annotations of the ModelDeployment, each of which is acted on once.

`tidegate.dev/approve: "sentiment-81aa22bb/3 by alice: looks fine"`. The value names the revision that is meant, and the
step where one is: what comes late acts on nothing else. Who asks, and why, may follow. Pausing and going back are parts
of the spec, so that tools which keep a spec in Git see them.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tidegate.errors import InvalidControl

PREFIX = "tidegate.dev/"
LONGEST_WHO, LONGEST_WHY = 100, 400
"""Characters; what is longer is cut off, and refused for nothing."""
VALUE = re.compile(
    r"(?P<revision>[a-z0-9](?:[-.a-z0-9]*[a-z0-9])?)(?:/(?P<step>\d{1,9}))?(?: by (?P<by>.+?))?(?:: (?P<why>.+))?"
)


class Control(StrEnum):
    """In the order in which they are looked at, where somebody asks for several at once."""

    ABORT = "abort"
    """The rollout ends now, and stable gets all the traffic."""
    RESTART = "restart"
    """Stable's pods are replaced, a few at a time."""
    RETRY = "retry"
    """A revision that was rolled back or aborted gets another try."""
    PROMOTE_FULL = "promote-full"
    """All traffic to the candidate as soon as its pods are ready, and the end of the rollout, without a verdict."""
    PROMOTE = "promote"
    """The next step as soon as its pods are ready, without a verdict."""
    APPROVE = "approve"
    """The step that waits for somebody's approval is approved."""
    SKIP = "skip"
    """What is left of the time that the present step takes at least."""

    @property
    def annotation(self) -> str:
        """Its key on the ModelDeployment."""
        return f"{PREFIX}{self.value}"

    @property
    def concerns_a_step(self) -> bool:
        """Whether its value names a step beside the revision."""
        return self in (Control.APPROVE, Control.PROMOTE, Control.SKIP)

    @property
    def form(self) -> str:
        """What its value looks like, for people."""
        return f"{'REVISION/STEP' if self.concerns_a_step else 'REVISION'} by WHO: WHY"


@dataclass(frozen=True)
class Intent:
    """One person asks for one thing. `step` is None unless the control concerns one; `by` and `why` may be empty."""

    control: Control
    revision: str
    step: int | None = None
    by: str = ""
    why: str = ""

    @classmethod
    def parse(cls, control: Control, text: str) -> "Intent":
        """The inverse of `text`. Raises InvalidControl with a sentence that says what to write."""
        found = VALUE.fullmatch(" ".join(text.split()))
        if found is None:
            raise InvalidControl(
                f"{control.annotation} is {text[:80]!r}, which names no revision: write {control.form!r}, of which "
                "everything after the first word may be left out"
            )
        step = int(found["step"]) if found["step"] else None
        if control.concerns_a_step and step is None:
            raise InvalidControl(
                f"{control.annotation} is {text[:80]!r}, which names no step: write {control.form!r}, such as "
                f"{found['revision']}/1"
            )
        return cls(
            control,
            found["revision"],
            step if control.concerns_a_step else None,
            _shortened(found["by"] or "", LONGEST_WHO),
            _shortened(found["why"] or "", LONGEST_WHY),
        )

    @property
    def annotation(self) -> str:
        """The key of the annotation that says so."""
        return self.control.annotation

    @property
    def text(self) -> str:
        """The value of that annotation."""
        step = "" if self.step is None else f"/{self.step}"
        by = _shortened(re.sub(r":+(?=\s)", "", self.by), LONGEST_WHO)  # a colon and a space begin the reason
        why = _shortened(self.why, LONGEST_WHY)
        return f"{self.revision}{step}{f' by {by}' if by else ''}{f': {why}' if why else ''}"

    @property
    def asked(self) -> str:
        """Who asks, and why, as the end of a sentence: `by alice: looks fine`."""
        return f"by {self.by or 'somebody'}{f': {self.why}' if self.why else ''}"

    def command(self, namespace: str, name: str) -> str:
        """The kubectl line that asks for it."""
        given = shlex.quote(f"{self.annotation}={self.text}")
        return f"kubectl -n {namespace} annotate mdep/{name} {given}"


@dataclass(frozen=True)
class GivenControl:
    """An annotation as it was found. `intent` is None where it can't be read; `wrong` says why then."""

    control: Control
    value: str
    intent: Intent | None
    wrong: str = ""

    @property
    def key(self) -> str:
        """By which the status remembers that it has been acted on."""
        return f"{self.control.value}={self.intent.text if self.intent else ''}"


def given_controls(annotations: Mapping[str, str] | None) -> tuple[GivenControl, ...]:
    """What is asked for by a ModelDeployment's annotations, in the order of `Control`. Raises nothing."""
    return tuple(_given(annotations or {}))


def _given(annotations: Mapping[str, str]) -> Iterator[GivenControl]:
    for control in Control:
        value = annotations.get(control.annotation)
        if value is None:
            continue
        try:
            yield GivenControl(control, value, Intent.parse(control, value))
        except InvalidControl as error:
            yield GivenControl(control, value, None, str(error))


def _shortened(text: str, longest: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
