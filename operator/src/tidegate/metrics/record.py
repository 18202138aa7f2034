"""The record of a rollout: every increment that its test was given, in order, and what was said of them. PURE.

With it a verdict can be repeated to the last digit, whoever counted and however long ago that was. Entries are lines of
JSON, each told by how it differs from the one before, in one stream of zlib per part. A part begins with the state of
the test, or with a test that has no evidence yet, so that the oldest can be dropped and the rest still repeated.
"""

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tidegate.errors import TidegateError
from tidegate.judge.checkpoint import written_down
from tidegate.judge.sequential_test import SequentialTest, SequentialTestParameters
from tidegate.model.evidence import (
    NO_DURATIONS,
    Answer,
    CellCounts,
    Counts,
    Durations,
    Evidence,
    Increment,
    Load,
    MetricsGap,
    PodTraffic,
    Predictions,
    QueryAnswer,
)
from tidegate.model.inputs import InputsSeen
from tidegate.model.plain import MICROSECOND, from_plain, plain
from tidegate.model.status import Rollout, Shift
from tidegate.model.traffic import Arms

PROMETHEUS, ROUTERS = "Prometheus", "Routers"
"""Who was asked for an increment, in the words of `analysis.source`: Prometheus, or the routers themselves."""
VERSION = 1
"""To be raised whenever the same text would mean something else."""
LARGEST = 256 * 1024
"""Characters of all parts together; what is beyond costs the oldest part."""
PART = 32 * 1024
"""Characters after which a new part begins."""
LARGEST_UNPACKED = 16 * 2**20
WINDOW_BITS, MEMORY_LEVEL = 13, 6
"""Of zlib: 64 KiB of memory for each rollout that is under way, instead of 256."""
MALFORMED = (ValueError, LookupError, TypeError, ArithmeticError, AttributeError, RecursionError, zlib.error)
"""What reading a text of another shape raises."""
NOTHING = Counts()
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RecordUnusable(TidegateError):
    """A text that is no record, or none that can be read; the sentence says why."""


class Ended(NamedTuple):
    """How a rollout ended, and when, as the status has it."""

    outcome: str
    reason: str
    message: str
    at: datetime


@dataclass(frozen=True)
class Header:
    """Whose record it is. `shifts` are those of its traffic so far; `ended` is None while it is under way."""

    namespace: str
    name: str
    stable: str
    candidate: str
    started_at: datetime
    shifts: tuple[Shift, ...]
    ended: Ended | None = None

    @classmethod
    def of(cls, arms: Arms, rollout: Rollout, ended: Ended | None = None) -> "Header":
        """Of a rollout as it stands."""
        of_model = arms.namespace, arms.name, arms.stable, arms.candidate
        return cls(*of_model, rollout.started_at, rollout.shifts, ended)

    @property
    def identity(self) -> tuple[object, ...]:
        """What tells one rollout from another."""
        return self.namespace, self.name, self.stable, self.candidate, self.started_at


class Asked(NamedTuple):
    """What the judge was asked, and what it was told besides increments.

    `exposed` is what the candidate has answered, while nothing of it has been judged; 0 afterwards.
    """

    false_promotion: float
    promotes: bool
    exposed: int
    missing: tuple[MetricsGap, ...]
    answers: tuple[QueryAnswer, ...]
    inputs: InputsSeen | None = None


class Said(NamedTuple):
    """What the judge said."""

    answer: Answer
    reason: str
    message: str
    evidence: Evidence | None


class Began(NamedTuple):
    """A test without evidence, and all that it was made with: criteria, baseline, overdispersion."""

    parameters: SequentialTestParameters


class Edited(NamedTuple):
    """The test goes on with other settings, in nothing that it tests."""

    parameters: SequentialTestParameters


class Resumed(NamedTuple):
    """All that the test knew, as `judge.checkpoint` writes it: what came before may not be here any more."""

    state: Mapping[str, Any]


class Traffic(NamedTuple):
    """Requests and failures. `source` is PROMETHEUS or ROUTERS."""

    source: str
    increment: Increment

    def give_to(self, test: SequentialTest) -> None:
        """A test takes it in."""
        test.update_traffic(self.increment)


class Details(NamedTuple):
    """Latency, predictions and pods."""

    source: str
    increment: Increment

    def give_to(self, test: SequentialTest) -> None:
        """The same."""
        test.update_details(self.increment)


class Whole(NamedTuple):
    """Traffic and details that were counted at one time."""

    source: str
    increment: Increment

    def give_to(self, test: SequentialTest) -> None:
        """The same."""
        test.update(self.increment)


class Looked(NamedTuple):
    """A verdict was given. `said` is None where answer and reason were those of the look before."""

    at: datetime
    asked: Asked
    said: Said | None


Counted = Traffic | Details | Whole
Entry = Began | Edited | Resumed | Counted | Looked
KINDS: Mapping[str, type[Counted]] = {"t": Traffic, "d": Details, "w": Whole}
"""Of increments, as a line names them."""


@dataclass(frozen=True)
class Record:
    """A rollout's entries, oldest first. Where the first is Resumed, what was before it has been dropped."""

    header: Header
    entries: tuple[Entry, ...]


def encode(record: Record) -> str:
    """The record as text."""
    parts: list[_Part] = []
    for entry in record.entries:
        if not parts or isinstance(entry, Resumed):
            parts.append(_Part())
        parts[-1].add(entry)
    return _text(record.header, [part.text() for part in parts])


def header_of(text: str) -> Header:
    """Whose record a text is. Raises RecordUnusable."""
    return _opened(text)[0]


def decode(text: str) -> Record:
    """The inverse. Raises RecordUnusable."""
    header, parts = _opened(text)
    try:
        entries = tuple(entry for part in parts for entry in _entries(part))
    except MALFORMED as error:
        raise RecordUnusable(f"the record of {header.candidate} can't be read: {_why(error)}") from error
    return Record(header, entries)


def unpacked(text: str) -> bytes:
    """What was compressed to a text. Raises any of MALFORMED."""
    unpacking = zlib.decompressobj()
    found = unpacking.decompress(b64decode(text, validate=True), LARGEST_UNPACKED)
    if not unpacking.eof:
        raise ValueError(f"it is cut off, or larger than {LARGEST_UNPACKED} bytes")
    return found


class Recorder:
    """Keeps the record of one rollout while it is under way. Nothing that it is given makes it raise.

    It holds no entries, only what they are compressed to: at most LARGEST characters, and a part besides.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._part: _Part | None = None
        self._said: tuple[Answer, str] | None = None
        self.failure = ""
        """Why there is none; '' where there is."""
        self.guard: AbstractContextManager[object] = nullcontext()
        """Held while it is used, where several threads use it."""

    @classmethod
    def resumed(cls, test: SequentialTest, text: str, header: Header) -> "Recorder":
        """Goes on from a test that was taken up, with what was recorded of it before, if that can be read."""
        recorder = cls()
        try:
            known, parts = _opened(text)
            recorder._parts = list(parts if known.identity == header.identity else ())
        except RecordUnusable:
            pass  # it begins with what the test knows
        recorder._add(Resumed(written_down(test)), test)
        return recorder

    def began(self, test: SequentialTest) -> None:
        """A test begins."""
        self._add(Began(test.parameters), test)

    def edited(self, test: SequentialTest) -> None:
        """Its parameters are others."""
        self._add(Edited(test.parameters), test)

    def counted(self, entry: Counted, test: SequentialTest) -> None:
        """An increment, which the test has taken in."""
        self._add(entry, test)

    def looked(self, at: datetime, asked: Asked, said: Said, test: SequentialTest) -> None:
        """A verdict on all that the test has taken in."""
        known = self._said == (said.answer, said.reason)
        self._said = said.answer, said.reason
        self._add(Looked(at.replace(microsecond=at.microsecond // 1000 * 1000), asked, None if known else said), test)

    def text(self, header: Header) -> str | None:
        """All that is kept of it; None where there is nothing, or it can't be kept."""
        with self.guard:
            parts = list(self._parts)
            if self._part and (self._part.has_news or not parts):
                parts.append(self._part.text())
        parts = _newest(parts)
        return _text(header, parts) if parts and not self.failure else None

    def _add(self, entry: Entry, test: SequentialTest) -> None:
        if self.failure:
            return
        try:
            with self.guard:
                self._append(entry, test)
        except MALFORMED as error:
            self.failure = f"{type(entry).__name__} can't be written down: {_why(error)}"
            self._parts, self._part = [], None

    def _append(self, entry: Entry, test: SequentialTest) -> None:
        self._part = self._part or _Part()
        self._part.add(entry)
        if self._part.gained < PART:
            return
        self._parts = _newest([*self._parts, self._part.text()])
        self._part, self._said = _Part(), None
        self._part.add(Resumed(written_down(test)))


class _Part:
    """Entries as they are compressed."""

    def __init__(self) -> None:
        self._lines = _Lines()
        self._packing = zlib.compressobj(wbits=WINDOW_BITS, memLevel=MEMORY_LEVEL)
        self._packed = bytearray()
        self._heading: int | None = None
        self.has_news = False
        """Whether there is more in it than what its test knew before."""

    def add(self, entry: Entry) -> None:
        for line in self._lines.of(entry):
            self._packed += self._packing.compress(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        if isinstance(entry, Resumed):
            self._packed += self._packing.flush(zlib.Z_SYNC_FLUSH)
        else:
            self.has_news = True
        if self._heading is None:
            self._heading = len(self._packed)

    @property
    def gained(self) -> int:
        """Characters since its first entry, some kilobytes late."""
        return (len(self._packed) - (self._heading or 0)) * 4 // 3

    def text(self) -> str:
        """As it is so far; more may be added."""
        return b64encode(bytes(self._packed) + self._packing.copy().flush()).decode()


def _newest(parts: Sequence[str]) -> list[str]:
    """As many of the last ones as may be kept."""
    kept, characters = list(parts), sum(map(len, parts))
    while kept and characters > LARGEST:
        characters -= len(kept.pop(0))
    return kept


def _text(header: Header, parts: Sequence[str]) -> str:
    return json.dumps({"version": VERSION, "about": plain(header), "parts": parts}, indent=1)


def _opened(text: str) -> tuple[Header, Sequence[str]]:
    """Raises RecordUnusable."""
    try:
        told = json.loads(text)
        version = told["version"]
    except MALFORMED as error:
        raise RecordUnusable(f"it isn't a record of a rollout's increments: {_why(error)}") from error
    if version != VERSION:
        raise RecordUnusable(f"it is a record of version {version!r}, and this tidegate reads version {VERSION}")
    try:
        parts = told["parts"]
        if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
            raise ValueError("its parts are no list of texts")
        return from_plain(Header, told["about"]), parts
    except MALFORMED as error:
        raise RecordUnusable(f"whose record it is can't be read: {_why(error)}") from error


def _entries(part: str) -> Iterator[Entry]:
    lines = _Lines()
    for line in unpacked(part).splitlines():
        entry = lines.entry(json.loads(line))
        if entry is not None:
            yield entry


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


class _Lines:
    """Entries as lines of JSON and back: both ways go through the same states."""

    def __init__(self) -> None:
        self._names: list[Any] = []
        self._numbers: dict[Hashable, int] = {}
        self._clocks = {kind: _Clock() for kind in (*KINDS, "l")}
        self._concurrent = dict.fromkeys(KINDS, True)
        self._asked: Asked | None = None

    def of(self, entry: Entry) -> list[list[Any]]:
        """The lines of an entry: first those of names that it is the first to use."""
        named = len(self._names)
        line = self._line(entry)
        return [*(["n", plain(name)] for name in self._names[named:]), line]

    def entry(self, line: Any) -> Entry | None:
        """The inverse, of one line; None for a name. Raises any of MALFORMED."""
        kind, *told = line
        match kind:
            case "n":
                self._names += told
                return None
            case "b":
                return Began(from_plain(SequentialTestParameters, told[0]))
            case "e":
                return Edited(from_plain(SequentialTestParameters, told[0]))
            case "r":
                return Resumed(told[0])
            case "l":
                return self._look(told)
            case _:
                return KINDS[kind](*self._increment(kind, told))

    def _line(self, entry: Entry) -> list[Any]:
        match entry:
            case Began(parameters):
                return ["b", plain(parameters)]
            case Edited(parameters):
                return ["e", plain(parameters)]
            case Resumed(state):
                return ["r", state]
            case Traffic(source, increment) | Details(source, increment) | Whole(source, increment):
                kind = next(letter for letter, each in KINDS.items() if type(entry) is each)
                return _trimmed([kind, *self._told(kind, source, increment)])
            case Looked(at, asked, said):
                news = 0 if asked == self._asked else plain(asked)[: None if asked.inputs else -1]
                self._asked = asked
                return _trimmed(["l", self._clocks["l"].tick(at), news, 0 if said is None else plain(said)])

    def _look(self, told: Sequence[Any]) -> Looked:
        at, asked, said = _padded(told, 3)
        if asked:
            self._asked = from_plain(Asked, asked)
        if self._asked is None:
            raise ValueError("a look at nothing")
        return Looked(self._clocks["l"].tock(at), self._asked, from_plain(Said, said) if said else None)

    def _told(self, kind: str, source: str, increment: Increment) -> list[Any]:
        clock = self._clocks[kind]
        since = None if increment.since is None else (clock.last - increment.since) // MICROSECOND
        differs, self._concurrent[kind] = increment.concurrent != self._concurrent[kind], increment.concurrent
        load = 0 if increment.load is None else 1 + self._number(increment.load)
        pods = [[self._number(pod), *self._counts(counts)] for pod, counts in increment.pods.items()]
        arms = self._counts(increment.stable), self._counts(increment.candidate)
        traffic = list(increment.pod_traffic or ())
        return [self._number(source), clock.tick(increment.until), since, *arms, int(differs), load, pods, traffic]

    def _increment(self, kind: str, told: Sequence[Any]) -> tuple[str, Increment]:
        source, until, since, stable, candidate, differs, load, pods, traffic = _padded(told, 9)
        clock = self._clocks[kind]
        began = None if since is None else clock.last - since * MICROSECOND
        self._concurrent[kind] ^= bool(differs)
        return self._names[source], Increment(
            clock.tock(until),
            self._arm(stable),
            self._arm(candidate),
            {self._names[pod]: self._arm(counts) for pod, *counts in pods or ()},
            self._concurrent[kind],
            Load(*self._names[load - 1]) if load else None,
            began,
            PodTraffic(*traffic) if traffic else None,
        )

    def _counts(self, counts: Counts) -> list[Any]:
        if counts == NOTHING:  # as each pod's where routers count
            return []
        predictions = counts.predictions
        classes = [each for name, count in predictions.classes.items() for each in (self._number(name), count)]
        durations, scores = self._histogram(counts.durations), self._histogram(predictions.scores)
        cells = [each for cell, told in counts.cells.items() for each in (self._number(cell), *told)]
        return _trimmed([counts.requests, counts.failed, counts.abandoned, durations, classes, scores, cells])

    def _arm(self, told: Any) -> Counts:
        requests, failed, abandoned, durations, classes, scores, cells = _padded(told or (), 7)
        of_class = (
            dict(zip((self._names[index] for index in classes[::2]), classes[1::2], strict=True)) if classes else {}
        )
        predictions = Predictions(of_class, self._durations(scores))
        of_cell = {self._names[cell]: CellCounts(*told) for cell, *told in _threes(cells or ())}
        return Counts(requests, failed, self._durations(durations), predictions, abandoned, of_cell)

    def _histogram(self, durations: Durations) -> list[int]:
        """The number of its bounds, and pairs: how many empty buckets come first, and how many requests are in one."""
        if durations == NO_DURATIONS:
            return []
        told, before, empty = [self._number(durations.bounds)], 0, 0
        for cumulative in durations.cumulative:
            if cumulative == before:
                empty += 1
            else:
                told += [empty, cumulative - before]
                before, empty = cumulative, 0
        return told

    def _durations(self, told: Any) -> Durations:
        if not told:
            return NO_DURATIONS
        bounds = tuple(self._names[told[0]])
        cumulative: list[int] = []
        so_far = 0
        for empty, count in zip(told[1::2], told[2::2], strict=True):
            cumulative += [so_far] * empty
            so_far += count
            cumulative.append(so_far)
        return Durations(bounds, (*cumulative, *[so_far] * (len(bounds) - len(cumulative))))

    def _number(self, name: Hashable) -> int:
        number = self._numbers.setdefault(name, len(self._names))
        if number == len(self._names):
            self._names.append(name)
        return number


class _Clock:
    """Instants by how much the time since the one before differs from the one before that, in microseconds."""

    def __init__(self) -> None:
        self.last, self._step = EPOCH, 0

    def tick(self, at: datetime) -> int:
        step = (at - self.last) // MICROSECOND
        told = step - self._step
        self.last, self._step = at, step
        return told

    def tock(self, told: int) -> datetime:
        self._step += told
        self.last += self._step * MICROSECOND
        return self.last


def _threes(told: Sequence[int]) -> Iterator[Sequence[int]]:
    return zip(told[::3], told[1::3], told[2::3], strict=True)


def _trimmed(told: list[Any]) -> list[Any]:
    """Without the zeros and empty lists at its end."""
    while told and told[-1] in (0, []):
        told.pop()
    return told


def _padded(told: Sequence[Any], length: int) -> list[Any]:
    if len(told) > length:
        raise ValueError(f"{len(told)} values where there are {length} at most")
    return [*told, *[0] * (length - len(told))]
