"""One rule of a route that is the user's, lent to a ModelDeployment: how it is written, and given back. Pure.

A rule is one of an HTTPRoute's `spec.rules`, or of a VirtualService's `spec.http`. Lists of both are atomic, so nothing
of a rule can be owned. Each write is a JSON patch of one rule's backends, which names the rule, the backend that was
there and the route's version: where any of it is another by now, nothing is done. What the rule had stands in an
annotation of the route until it is given back.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import getitem
from typing import Any, NamedTuple

from tidegate.model.traffic import Writer
from tidegate.resources.names import LENT, WRITTEN_BY
from tidegate.resources.revision import Manifest

Operations = Sequence[Mapping[str, Any]]
"""A JSON patch (RFC 6902)."""


@dataclass(frozen=True)
class Loan:
    """Who has a rule, and what is to be in it again."""

    to: str
    """The ModelDeployment's name."""
    backends: Sequence[Manifest] = ()
    """What the rule had, as the route has it."""
    leaving: frozenset[str] = field(default_factory=frozenset)
    """Revisions that are listed at 0 and aren't part of the split."""


def read_loans(annotations: Mapping[str, str]) -> dict[str, Loan]:
    """By the rule's name; none where the annotation makes no sense."""
    try:
        told = json.loads(annotations.get(LENT, "{}"))
        return {
            rule: Loan(str(each["to"]), list(each["backendRefs"]), frozenset(each.get("leaving", ())))
            for rule, each in told.items()
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def write_loans(loans: Mapping[str, Loan]) -> str:
    """What `read_loans` reads."""
    told = {
        rule: {"to": loan.to, "backendRefs": list(loan.backends), "leaving": sorted(loan.leaving)}
        for rule, loan in sorted(loans.items())
    }
    return json.dumps(told, sort_keys=True)


class RuleShape(NamedTuple):
    """How one kind of route writes a rule's backends, and what people call them."""

    kind: str
    rules: str
    """The list of rules in the route's spec."""
    backends: str
    """The list of backends in a rule."""
    name: tuple[str, ...]
    """Where a backend has the name of its Service."""
    rule: str
    """What people call a rule."""
    section: str
    """The part of a ModelDeployment's spec that is about this kind of route."""
    field: str
    """What names a rule there."""
    ours: Callable[[Iterable[tuple[str, int]]], list[Manifest]]
    """Revisions' Services with their weights in percent."""
    named: Callable[[Manifest], str]
    """By what a backend is told from the others of its rule."""
    weighted: Callable[[Sequence[Manifest]], list[Manifest]]
    """The same backends, for beside others: where one alone needs no weight, with it."""


@dataclass(frozen=True)
class PlaceOfRule:
    """Where a rule is in its route, as it was seen."""

    shape: RuleShape
    name: str
    index: int
    backends: Sequence[Manifest]
    version: str
    """The route's resourceVersion."""
    annotations: Collection[str]
    """The names of those that the route has."""

    def replaced(self, backends: Sequence[Manifest], loans: Mapping[str, Loan], writer: Writer | None) -> Operations:
        """The rule with these backends, and the route with these loans. No `writer` takes its note away, too."""
        at = f"/spec/{self.shape.rules}/{self.index}"
        seen: list[Mapping[str, Any]] = [{"op": "test", "path": f"{at}/name", "value": self.name}]
        if self.backends:
            path = f"{at}/{self.shape.backends}/0/{'/'.join(self.shape.name)}"
            first = reduce(getitem, self.shape.name, self.backends[0])
            seen.append({"op": "test", "path": path, "value": first})
        return [
            *seen,
            {"op": "add", "path": f"{at}/{self.shape.backends}", "value": list(backends)},
            *([] if self.annotations else [{"op": "add", "path": "/metadata/annotations", "value": {}}]),
            *self._annotated(LENT, write_loans(loans) if loans else None),
            *self._annotated(WRITTEN_BY, str(writer) if writer else None),
            {"op": "replace", "path": "/metadata/resourceVersion", "value": self.version},
        ]

    def _annotated(self, name: str, value: str | None) -> list[Mapping[str, Any]]:
        path = "/metadata/annotations/" + name.replace("/", "~1")
        if value is not None:
            return [{"op": "add", "path": path, "value": value}]
        return [{"op": "remove", "path": path}] if name in self.annotations else []
