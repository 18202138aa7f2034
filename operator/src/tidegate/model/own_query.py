"""The user's own queries, as the spec has them: PromQL whose one value about a revision has limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.errors import InvalidSpec
from tidegate.model.reasons import Policy


@dataclass(frozen=True)
class OwnQuery:
    """PromQL of the user's, whose one value about the candidate has to lie within limits."""

    name: str
    query: str
    at_least: float | None
    at_most: float | None
    on_failure: Policy
    """Hold or Rollback; nothing of a dry run."""
    dry_run: bool = False
    """Whether it is measured and told, and decides nothing."""
    starting_step: int = 1
    """From which step of a canary on it is judged, where no step names it."""
    failure_limit: int | None = None
    """How many polls may be beyond `at_least` or `at_most`, in all; None where two in a row are too many."""
    inconclusive_limit: int | None = None
    """How many polls may give no number, in all, before that is a failure; None where it never is."""
    template: str = ""
    """The MetricTemplate that it is made from; '' for PromQL of its own."""
    args: tuple[tuple[str, str], ...] = ()
    template_generation: int = 0
    """Of the template that it was filled in from; 0 where it hasn't been."""
    problem: str = ""
    """Why it can't be filled in."""

    @property
    def unusable(self) -> str:
        """Why it can't be asked; '' where it can."""
        return self.problem or ("" if self.query else f"its MetricTemplate {self.template} hasn't been looked up")

    @property
    def made_from(self) -> str:
        """Its template and which state of it, for people; '' for PromQL of its own."""
        return f"{self.template}, generation {self.template_generation}" if self.template_generation else self.template

    @property
    def is_counted(self) -> bool:
        """Whether it matters how many polls there were."""
        return self.failure_limit is not None or self.inconclusive_limit is not None

    def is_beyond(self, value: float) -> bool:
        """Whether a value isn't allowed."""
        too_low = self.at_least is not None and value < self.at_least
        return too_low or (self.at_most is not None and value > self.at_most)

    @property
    def limits(self) -> str:
        """What is allowed, for people."""
        if self.at_least is None:
            return f"at most {self.at_most:g}"
        return f"at least {self.at_least:g}" if self.at_most is None else f"{self.at_least:g} to {self.at_most:g}"


def parse_queries(raw: Sequence[Mapping[str, Any]]) -> tuple[OwnQuery, ...]:
    """Reads spec.analysis.queries. Raises InvalidSpec with a sentence that names the query."""
    return tuple(map(_query, raw))


def _query(raw: Mapping[str, Any]) -> OwnQuery:
    dry_run = bool(raw.get("dryRun", False))
    if dry_run and "onFailure" in raw:
        raise InvalidSpec(
            f"spec.analysis.queries[{raw['name']}] has dryRun and onFailure, and a dry run decides nothing; "
            "leave one of them out"
        )
    if ("query" in raw) == ("templateRef" in raw):
        raise InvalidSpec(f"spec.analysis.queries[{raw['name']}] must have exactly one of query and templateRef")
    return OwnQuery(
        raw["name"],
        raw.get("query", ""),
        at_least=float(raw["min"]) if "min" in raw else None,
        at_most=float(raw["max"]) if "max" in raw else None,
        on_failure=Policy(raw.get("onFailure", Policy.HOLD)),
        dry_run=dry_run,
        starting_step=raw.get("startingStep", 1),
        failure_limit=_limit(raw, "failureLimit"),
        inconclusive_limit=_limit(raw, "inconclusiveLimit"),
        template=raw["templateRef"]["name"] if "templateRef" in raw else "",
        args=tuple((arg["name"], arg["value"]) for arg in raw.get("args", ())),
    )


def _limit(raw: Mapping[str, Any], name: str) -> int | None:
    limit: int | None = raw.get(name)
    if limit is not None and limit < 1:
        raise InvalidSpec(
            f"spec.analysis.queries[{raw['name']}].{name} is {limit}, and one odd poll would end a release; "
            "give 1 or more"
        )
    return limit
