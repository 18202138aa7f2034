"""The six chapters, what each of them promises, and whether what was seen keeps it. Pure.

A chapter ends in one of two ways: its promise is kept, or it is broken and the sentence says what was seen instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from tidegate_demo.seen import Ended, Seen


class Promise(Enum):
    LIVE = "goes live"
    PROMOTED = "is promoted"
    ROLLED_BACK = "is rolled back"


@dataclass(frozen=True)
class Chapter:
    """`because` must be part of the reason of a rollback. `kill_at` is the weight at which the operator is killed."""

    version: str
    title: str
    promise: Promise
    limit: float
    because: str = ""
    kill_at: int | None = None


CHAPTERS = (
    Chapter("v1", "v1 goes live", Promise.LIVE, 120),
    Chapter("v2", "v2, more accurate, is promoted step by step", Promise.PROMOTED, 180),
    Chapter("v3", "v3 fails on one image in five and is rolled back", Promise.ROLLED_BACK, 90, because="ErrorRate"),
    Chapter("v4", "v4 is right but 100 ms slower and is rolled back", Promise.ROLLED_BACK, 120, because="Latency"),
    Chapter("v5", "v5 is switched to at once, blue-green", Promise.PROMOTED, 150),
    Chapter("v6", "v6 is promoted though the operator is killed", Promise.PROMOTED, 240, kill_at=25),
)


@dataclass(frozen=True)
class Waiting:
    pass


@dataclass(frozen=True)
class Kept:
    sentence: str


@dataclass(frozen=True)
class Broken:
    sentence: str


State = Waiting | Kept | Broken


def state_of(chapter: Chapter, seen: Seen, before: Seen, elapsed: float, *, killed: bool = False) -> State:
    """Where the chapter stands, `elapsed` seconds after its YAML was applied. `before` was seen just before that."""
    state = _promise_of(chapter, seen, before, killed=killed) if seen.is_current else Waiting()
    if isinstance(state, Waiting) and elapsed > chapter.limit:
        return Broken(f"not within {chapter.limit:.0f} s; last seen: {describe(seen)}")
    return state


def kills_now(chapter: Chapter, seen: Seen) -> bool:
    """Whether this is the middle of the rollout: the moment to kill the operator."""
    return chapter.kill_at is not None and seen.is_current and (seen.weight or 0) >= chapter.kill_at


def describe(seen: Seen) -> str:
    """One line for people who want to know why nothing goes on."""
    if not seen.generation:
        return "no ModelDeployment"
    what = seen.stalled or seen.analysis or seen.message or "an empty status"
    return f"{seen.phase or 'no phase'}, {what}"


def _promise_of(chapter: Chapter, seen: Seen, before: Seen, *, killed: bool) -> State:
    match chapter.promise:
        case Promise.LIVE:
            return _live(chapter, seen)
        case Promise.PROMOTED:
            return _promoted(chapter, seen, seen.ended_since(before), killed=killed)
        case Promise.ROLLED_BACK:
            return _rolled_back(chapter, seen, seen.ended_since(before))
        case _ as unhandled:
            assert_never(unhandled)


def _live(chapter: Chapter, seen: Seen) -> State:
    if not seen.ready or not _serves(chapter, seen):
        return Waiting()
    return Kept(f"{chapter.version} is live")


def _promoted(chapter: Chapter, seen: Seen, ended: Ended | None, *, killed: bool) -> State:
    if ended is None:
        return Waiting()
    if ended.outcome != "Promoted":
        return Broken(f"{ended.outcome}, {ended.reason}: {ended.message}")
    if chapter.kill_at is not None and not killed:
        return Broken("promoted before the operator could be killed")
    return Kept(ended.message or f"{chapter.version} is promoted") if _serves(chapter, seen) else Waiting()


def _rolled_back(chapter: Chapter, seen: Seen, ended: Ended | None) -> State:
    if ended is None:
        return Waiting()
    if ended.outcome != "RolledBack":
        return Broken(f"{ended.outcome}, {ended.reason}: {ended.message}")
    if chapter.because not in ended.reason:
        return Broken(f"rolled back for {ended.reason} instead of {chapter.because}: {ended.message}")
    if _serves(chapter, seen) or seen.weight:
        return Waiting()
    return Kept(f"{ended.reason}: {ended.message}")


def _serves(chapter: Chapter, seen: Seen) -> bool:
    return seen.stable is not None and seen.stable.version == chapter.version
