"""A rollout's evidence as text, and back, so that an operator that was restarted goes on where it was. PURE.

Counters aren't part of it, only the points at which they were read last: whoever counts is asked for those once more.
Those of routers that were read directly are: nobody can be asked for them again.
"""

import json
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar, get_type_hints

from tidegate.judge.checkpoint import taken_up, written_down
from tidegate.metrics.accumulate import DetailsFold, Reading, TrafficFold
from tidegate.metrics.baseline import Baseline
from tidegate.metrics.fold import MOST_KEPT, Fold
from tidegate.metrics.increments import Counted, Process, Sample, SeriesKey, never_back
from tidegate.metrics.provider import Readings
from tidegate.metrics.record import (
    Began,
    Details,
    Header,
    Recorder,
    RecordUnusable,
    Traffic,
    Whole,
    decode,
    unpacked,
)
from tidegate.model.evidence import MetricsGap
from tidegate.model.plain import from_plain, plain
from tidegate.model.status import Rollout
from tidegate.model.traffic import Arms

VERSION = 6
"""To be raised whenever the same text would mean something else, as with other alternatives of an e-process."""
LARGEST = 256 * 1024
"""Characters of a checkpoint; a ConfigMap holds 1 MiB, and lists of them are read whole."""
OF_FOLD: Mapping[str, Any] = {
    "counted_by": str,
    "baseline": Baseline | None,
    "traffic_doubt": MetricsGap | None,
    "details_doubt": MetricsGap | None,
    "differed": tuple[datetime, MetricsGap] | None,
    "is_direct": bool,
    "latency_by_routers": bool,
    "provisional": Baseline | None,
    "known_as": dict[str, Process],
}
"""What is written of a fold besides its test and its cursors, and its types."""
INSTANTS: Mapping[str, Any] = {"last": datetime | None, "recent": tuple[datetime, ...]}
"""Readings, of which only the time is written."""

COUNTED: Any = dict[SeriesKey, Counted]

Cursor = TypeVar("Cursor", TrafficFold, DetailsFold)


class Kept(NamedTuple):
    """What is kept of a rollout under way, of one moment: its evidence, and the record of its increments."""

    evidence: str
    record: str = ""


Read = Callable[[datetime, timedelta, int], Readings]


def to_text(fold: Fold, arms: Arms, rollout: Rollout) -> str | None:
    """None where it would be larger than LARGEST."""
    told = {
        "version": VERSION,
        "about": _about(arms, rollout),
        "fold": {name: plain(getattr(fold, name)) for name in OF_FOLD},
        "test": written_down(fold.test),
        TrafficFold.__name__: _cursor(fold.traffic),
        DetailsFold.__name__: _cursor(fold.details),
        # A router that is asked itself knows nothing of the past.
        "counted": plain(fold.traffic.last.sample) if fold.is_direct and fold.traffic.last else None,
        # Evidence never begins anew where stable's baseline is known.
        "since": None if fold.baseline else [_cursor(each) for each in fold.since],
    }
    text = b64encode(zlib.compress(json.dumps(told, separators=(",", ":")).encode())).decode()
    return text if len(text) <= LARGEST else None


def from_text(text: str, arms: Arms, rollout: Rollout) -> Fold | None:
    """The fold, its counters still to be read again; None for another rollout's, or another version's.

    Raises any of `record.MALFORMED`.
    """
    told = json.loads(unpacked(text))
    if (told["version"], told["about"]) != (VERSION, _about(arms, rollout)):
        return None
    fold = Fold((rollout.candidate, rollout.started_at), taken_up(told["test"]))
    fold.traffic = _from_cursor(TrafficFold, told[TrafficFold.__name__])
    fold.details = _from_cursor(DetailsFold, told[DetailsFold.__name__])
    for name, kind in OF_FOLD.items():
        setattr(fold, name, from_plain(kind, told["fold"][name]))
    if told["since"]:
        fold.since = (_from_cursor(TrafficFold, told["since"][0]), _from_cursor(DetailsFold, told["since"][1]))
    fold.traffic_to_reread = fold.details_to_reread = fold.since_to_reread = True
    if fold.is_direct:
        last = fold.traffic.last and fold.traffic.last._replace(sample=from_plain(COUNTED, told["counted"]))
        fold.traffic, fold.traffic_to_reread = replace(fold.traffic, last=last, recent=()), False
    return fold


def resumed(kept: Kept, arms: Arms, rollout: Rollout) -> Fold | None:
    """The same with its record, to which more is to be added. Raises any of `record.MALFORMED`."""
    fold = from_text(kept.evidence, arms, rollout)
    if fold:
        fold.recorder = Recorder.resumed(fold.test, kept.record, Header.of(arms, rollout))
        fold.kept = [] if fold.baseline else _counted(kept.record)[-MOST_KEPT:]
    return fold


def _counted(text: str) -> list[Traffic | Details | Whole]:
    """What the last test that was begun was given, as far as it is recorded: it may have to be judged again."""
    try:
        entries = decode(text).entries if text else ()
    except RecordUnusable:
        return []
    began = max((index for index, entry in enumerate(entries) if isinstance(entry, Began)), default=0)
    return [entry for entry in entries[began:] if isinstance(entry, Traffic | Details | Whole)]


def reread_traffic(cursor: TrafficFold, arms: Arms, read: Read) -> tuple[TrafficFold, Readings | None]:
    """The cursor with its counters, and the last answer. Raises MetricsUnavailable."""
    samples, answer = _samples([*_instants(cursor.last), *(each.at for each in cursor.recent)], read)
    recent = tuple(Reading(each.at, samples[each.at]) for each in cursor.recent)
    return replace(cursor, last=_last(cursor.last, samples, (arms.stable, arms.candidate)), recent=recent), answer


def reread_details(cursor: DetailsFold, arms: Arms, read: Read) -> tuple[DetailsFold, Readings | None]:
    """The same for the details."""
    samples, answer = _samples(_instants(cursor.last), read)
    return replace(cursor, last=_last(cursor.last, samples, (arms.stable, arms.candidate))), answer


def _about(arms: Arms, rollout: Rollout) -> Any:
    """What a fold is of: JSON's own values, to be compared."""
    began = rollout.shifts[0].at
    return [
        plain(each) for each in (arms.namespace, arms.name, arms.stable, rollout.candidate, rollout.started_at, began)
    ]


def _cursor(cursor: TrafficFold | DetailsFold) -> dict[str, Any]:
    return {each.name: plain(_without_counters(getattr(cursor, each.name))) for each in fields(cursor)}


def _without_counters(value: object) -> object:
    if isinstance(value, Reading):
        return value.at
    if isinstance(value, tuple):
        return [_without_counters(each) for each in value]
    return value


def _from_cursor(kind: type[Cursor], told: Mapping[str, Any]) -> Cursor:
    hints = {name: hint for name, hint in get_type_hints(kind).items() if name in told}  # an older one has fewer
    known = {name: from_plain(INSTANTS.get(name, hint), told[name]) for name, hint in hints.items()}
    if known["last"]:
        known["last"] = Reading(known["last"], {})
    if "recent" in known:
        known["recent"] = tuple(Reading(at, {}) for at in known["recent"])
    return kind(**known)


def _instants(reading: Reading | None) -> list[datetime]:
    return [reading.at] if reading else []


def _last(reading: Reading | None, samples: Mapping[datetime, Sample], revisions: Sequence[str]) -> Reading | None:
    """None where whoever counts doesn't know that point any more: as with a gap, counting begins with the next."""
    if reading is None:
        return None
    counted = {key: value for key, value in samples[reading.at].items() if key.revision in revisions}
    return Reading(reading.at, counted) if counted else None


def _samples(instants: Sequence[datetime], read: Read) -> tuple[dict[datetime, Sample], Readings | None]:
    samples: dict[datetime, Sample] = {}
    before: Sample = {}
    answer = None
    for start, step, count in _runs(sorted(set(instants))):
        answer = read(start, step, count)
        for index, sample in enumerate(answer.samples):
            samples[start + index * step] = before = never_back(before, sample)
    return samples, answer


def _runs(instants: Sequence[datetime]) -> Iterator[tuple[datetime, timedelta, int]]:
    """The instants as few evenly spaced rows: the first of each, the step, and how many."""
    index = 0
    while index < len(instants):
        step = instants[index + 1] - instants[index] if index + 1 < len(instants) else timedelta(seconds=1)
        count = 1
        while index + count < len(instants) and instants[index + count] - instants[index + count - 1] == step:
            count += 1
        yield instants[index], step, count
        index += count
