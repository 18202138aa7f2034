"""One rule of a route that is the user's, lent to a ModelDeployment: how it is written, and given back. Pure.

Lists of a route are atomic, so nothing of a rule can be owned. Each write is a JSON patch of one rule's backends, which
names the rule, the backend that was there and the route's version: where any of it is another by now, nothing is done.
What the rule had stands in an annotation of the route until it is given back.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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


@dataclass(frozen=True)
class PlaceOfRule:
    """Where a rule is in its route, as it was seen."""

    name: str
    index: int
    backends: Sequence[Manifest]
    version: str
    """The route's resourceVersion."""
    annotations: Collection[str]
    """The names of those that the route has."""

    def replaced(self, backends: Sequence[Manifest], loans: Mapping[str, Loan], writer: Writer | None) -> Operations:
        """The rule with these backends, and the route with these loans. No `writer` takes its note away, too."""
        at = f"/spec/rules/{self.index}"
        seen = [{"op": "test", "path": f"{at}/name", "value": self.name}]
        if self.backends:
            first = self.backends[0]["name"]
            seen.append({"op": "test", "path": f"{at}/backendRefs/0/name", "value": first})
        return [
            *seen,
            {"op": "add", "path": f"{at}/backendRefs", "value": list(backends)},
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
