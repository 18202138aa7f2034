"""What is measured, of one code at one size. Seconds, bytes and counts; None where nothing was seen."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Spread:
    """A typical and a bad value of several, in seconds."""

    p50: float
    p99: float
    count: int


def spread(values: list[float]) -> Spread | None:
    """None of nothing. With less than a hundred values the bad one is the worst."""
    if not values:
        return None
    ordered = sorted(values)
    return Spread(_rank(ordered, 0.5), _rank(ordered, 0.99), len(ordered))


def _rank(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(frozen=True)
class OperatorFigures:
    """An operator with so many ModelDeployments of five pods each.

    `live` is from the first one's creation to when the last was Ready. `idle_*` are of a quiet minute: millicores, and
    the operator's requests by verb and kind, watches that were opened anew by themselves. `rolling_*` are of fifty
    rollouts of twenty and twenty pods: how late looks were, the share of a core, writes a second.
    """

    created: float
    live: float
    live_cpu: float
    resident: int
    peak: int
    idle_millicores: float
    idle_calls: dict[str, int]
    idle_watches: int
    rolling: int
    rolling_looks: float
    """A second, of all rollouts together."""
    rolling_late: Spread | None
    rolling_took: Spread | None
    rolling_cores: float
    rolling_writes: float
    rolling_calls: dict[str, int]
    rolling_resident: int


@dataclass(frozen=True)
class RouterFigures:
    """A router with so many ModelDeployments of five endpoints each, and twenty pod changes a second.

    `change` and `shift` are from the API server's answer to a write until a request through Envoy shows it. `written`
    is what the agent wrote into files, `sent` what it sent to Envoy over its socket; both bytes a change.
    """

    started: float
    changes: int
    rate: float
    agent_cpu: float
    """Seconds a change."""
    envoy_cpu: float
    """Seconds a change."""
    idle_millicores: float
    change: Spread | None
    shift: Spread | None
    unseen: int
    """Changes and shifts whose effect wasn't seen in time."""
    written: float
    sent: float | None
    agent_resident: int
    envoy_resident: int
    direct: Spread | None
    routed: Spread | None
    """Requests of a steady load, past the router and through it."""

    @property
    def bytes(self) -> float:
        """All that a change makes the agent tell."""
        return self.written + (self.sent or 0.0)


@dataclass(frozen=True)
class Measured:
    """One code at one size. `code` is empty for this code, else the commit. `trouble` is why something is missing."""

    code: str
    models: int
    operator: OperatorFigures | None = None
    router: RouterFigures | None = None
    trouble: str = ""


def save_results(path: Path, found: Iterable[Measured]) -> None:
    """For `load_results`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(measured) for measured in found]))


def load_results(path: Path) -> dict[tuple[str, int], Measured]:
    """What was saved, by code and size; nothing where nothing was, or by another version of this."""
    try:
        found = [_read(document) for document in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    return {(measured.code, measured.models): measured for measured in found}


def _read(document: Mapping[str, Any]) -> Measured:
    operator, router = document["operator"], document["router"]
    return Measured(
        document["code"],
        document["models"],
        OperatorFigures(**_spreads(operator)) if operator else None,
        RouterFigures(**_spreads(router)) if router else None,
        document["trouble"],
    )


def _spreads(figures: Mapping[str, Any]) -> dict[str, Any]:
    """What has a p50 is a spread; the API calls are the other mappings."""
    return {
        name: Spread(**value) if isinstance(value, dict) and "p50" in value else value
        for name, value in figures.items()
    }
