"""What was found of each event, kept from part to part of a measurement."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.traffic.counts import KEPT, NEW, Counts, total

LONG = "long"
"""Requests that take a minute."""


@dataclass
class Result:
    """An event as it was seen once. `seconds` is how long the load went on; `trouble` says why it ended early."""

    event: str
    kinds: dict[str, Counts]
    seconds: float
    asked: float
    """Requests a second."""
    ended: str
    trouble: str = ""
    examples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def all(self) -> Counts:
        """Of every kind."""
        return total(self.kinds.values())

    @property
    def steady(self) -> Counts:
        """Without those that take a minute."""
        return total(counts for kind, counts in self.kinds.items() if kind != LONG)

    @property
    def rate(self) -> float:
        """Requests a second that were really sent."""
        return self.steady.sent / self.seconds if self.seconds else 0.0


def result(event: str, loads: Sequence[dict[str, Any]], asked: float, ended: str, trouble: str) -> Result:
    """Of what the loads have told."""
    kinds: dict[str, Counts] = {}
    examples: list[dict[str, Any]] = []
    for each in loads:
        for kind in (KEPT, NEW, LONG):
            if kind in each:
                kinds[kind] = kinds.get(kind, Counts()) + Counts.from_dict(each[kind])
                examples += each[kind]["examples"]
    return Result(event, kinds, sum(each.get("seconds", 0.0) for each in loads), asked, ended, trouble, examples)


def joined(results: Sequence[Result]) -> list[Result]:
    """The events in the order in which they came first, each with all that was seen of it."""
    by_event: dict[str, Result] = {}
    for each in results:
        known = by_event.get(each.event)
        by_event[each.event] = each if known is None else _both(known, each)
    return list(by_event.values())


def _both(one: Result, other: Result) -> Result:
    kinds = {
        kind: one.kinds.get(kind, Counts()) + other.kinds.get(kind, Counts())
        for kind in dict.fromkeys([*one.kinds, *other.kinds])
    }
    trouble = "; ".join(filter(None, (one.trouble, other.trouble)))
    seconds, asked = one.seconds + other.seconds, max(one.asked, other.asked)
    return Result(one.event, kinds, seconds, asked, other.ended, trouble, one.examples + other.examples)


def save(results: Sequence[Result], place: Path) -> None:
    """Whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = place.with_suffix(".unfinished")
    scratch.write_text(json.dumps([_plain(each) for each in results]))
    scratch.rename(place)


def read(place: Path) -> list[Result]:
    """What was saved; nothing where nothing was."""
    if not place.exists():
        return []
    return [
        Result(**{**each, "kinds": {kind: Counts.from_dict(found) for kind, found in each["kinds"].items()}})
        for each in json.loads(place.read_text())
    ]


def _plain(each: Result) -> dict[str, Any]:
    return {**vars(each), "kinds": {kind: counts.to_dict() for kind, counts in each.kinds.items()}}
