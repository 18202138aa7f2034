"""A record of a rollout's increments says all that was given to its test, and nothing else is taken for one."""

import json
import math
import random
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.judge.checkpoint import taken_up, written_down
from tidegate.judge.sequential_test import SequentialTest, SequentialTestParameters
from tidegate.metrics import record as module
from tidegate.metrics.record import (
    PROMETHEUS,
    ROUTERS,
    Asked,
    Began,
    Details,
    Edited,
    Ended,
    Entry,
    Header,
    Looked,
    Record,
    Recorder,
    RecordUnusable,
    Resumed,
    Said,
    Traffic,
    Whole,
    decode,
    encode,
)
from tidegate.model.evidence import (
    Answer,
    CellCounts,
    Counts,
    Durations,
    Evidence,
    Increment,
    Load,
    MetricsGap,
    Overdispersion,
    PodTraffic,
    Predictions,
    QueryAnswer,
)
from tidegate.model.inputs import InputsSeen, InputState
from tidegate.model.plain import from_plain, plain
from tidegate.model.reasons import Reason
from tidegate.model.spec import Analysis, ModelDeploymentSpec
from tidegate.model.status import Shift

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
BOUNDS = (*(0.0005 * 1.5**k for k in range(20)), math.inf)
HEADER = Header("shop", "digits", "a", "b", BEGAN - SECOND, (Shift(BEGAN, 10),))


@pytest.fixture
def analysis(a_spec: Callable[..., ModelDeploymentSpec]) -> Analysis:
    return a_spec().analysis


def parameters(analysis: Analysis, chance: random.Random) -> SequentialTestParameters:
    before = Counts(1800, 9, durations(chance))
    return SequentialTestParameters(
        analysis, durations(chance), Overdispersion(1.3, {50: 1.0, 99: 2.5}), before, chance.choice((0, 3))
    )


def durations(chance: random.Random, bounds: tuple[float, ...] = BOUNDS) -> Durations:
    cumulative, so_far = [], 0
    for _ in bounds:
        so_far += chance.choice((0, 0, 0, chance.randrange(30)))
        cumulative.append(so_far)
    return Durations(bounds, tuple(cumulative))


def counts(chance: random.Random) -> Counts:
    """Of any kind that there is."""
    predictions = Predictions({name: chance.randrange(20) for name in "xyz"[: chance.randrange(4)]})
    if chance.random() < 0.3:
        predictions = replace(predictions, scores=durations(chance, (0.5, 1.0, math.inf)))
    requests = chance.randrange(200)
    return Counts(
        requests,
        chance.randrange(requests + 1),
        durations(chance) if chance.random() < 0.7 else Durations((), ()),
        predictions,
        chance.choice((0, 0, 3)),
        {f"slice_5ac0ffee_{cell}": CellCounts(chance.randrange(1, 30), 1) for cell in range(chance.randrange(4))},
    )


def increment(chance: random.Random, at: datetime) -> Increment:
    load = chance.choice((None, Load(0.3, 1 / 30), Load(0.25, 0.5)))
    pods = {f"b-{chance.randrange(5)}": counts(chance) for _ in range(chance.randrange(4))}
    since = chance.choice((None, at - SECOND, at - timedelta(microseconds=1234567)))
    traffic = chance.choice((None, PodTraffic(15.0, 421.3), PodTraffic(chance.random(), chance.random())))
    return Increment(at, counts(chance), counts(chance), pods, chance.random() < 0.8, load, since, traffic)


def asked(chance: random.Random) -> Asked:
    missing = (MetricsGap(Reason.CATCHING_UP, "the rest comes later"),) if chance.random() < 0.3 else ()
    answers = (QueryAnswer("accuracy", (0.93, chance.random())),) if chance.random() < 0.3 else ()
    inputs = InputsSeen(InputState.DIFFER, "é up to 40 in 90%") if chance.random() < 0.3 else None
    return Asked(chance.choice((0.5, 0.05)), chance.random() < 0.5, chance.randrange(2), missing, answers, inputs)


def said(chance: random.Random) -> Said:
    evidence = Evidence(chance.random(), 100.0, chance.random() * 20, 20.0) if chance.random() < 0.8 else None
    return Said(chance.choice(list(Answer)), "MoreRequestsNeeded", "é 1 of 2", evidence)


def entries(analysis: Analysis, seed: int, many: int = 60) -> Iterator[Entry]:
    chance, at = random.Random(seed), BEGAN
    yield Began(parameters(analysis, chance))
    for _ in range(many):
        at += chance.choice((SECOND, SECOND, timedelta(seconds=1, microseconds=chance.randrange(10**6))))
        yield Traffic(chance.choice((PROMETHEUS, ROUTERS)), increment(chance, at))
        if chance.random() < 0.5:
            yield chance.choice((Details, Whole))(chance.choice((PROMETHEUS, ROUTERS)), increment(chance, at - SECOND))
        yield Looked(at + SECOND, asked(chance), said(chance) if chance.random() < 0.3 else None)
        if chance.random() < 0.05:
            yield Edited(parameters(analysis, chance))
        if chance.random() < 0.05:
            yield Resumed(written_down(SequentialTest(parameters(analysis, chance))))


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_recorded_is_read_back_exactly(analysis: Analysis, seed: int) -> None:
    ended = Ended("RolledBack", "ErrorRateWorse", "error rate 20%", BEGAN + 60 * SECOND) if seed % 2 else None
    record = Record(replace(HEADER, ended=ended), tuple(entries(analysis, seed)))

    assert decode(encode(record)) == record


def test_whatever_an_increment_has_is_recorded() -> None:
    chance = random.Random(5)
    some = [increment(chance, BEGAN + number * SECOND) for number in range(200)]

    for kind in (Increment, Counts, Predictions, Durations):
        values = [part for each in some for part in parts_of(each) if isinstance(part, kind)]
        for each in fields(kind):
            assert len({repr(getattr(value, each.name)) for value in values}) > 1, each.name


def parts_of(value: object) -> Iterator[object]:
    """The value, and all dataclasses within."""
    if isinstance(value, Mapping):
        for part in value.values():
            yield from parts_of(part)
    if is_dataclass(value):
        yield value
        for each in fields(value):
            yield from parts_of(getattr(value, each.name))


def test_an_empty_record_is_one() -> None:
    assert decode(encode(Record(HEADER, ()))) == Record(HEADER, ())


def kept(analysis: Analysis) -> str:
    return encode(Record(HEADER, tuple(entries(analysis, 1))))


def altered(text: str, **parts: object) -> str:
    return json.dumps({**json.loads(text), **parts})


def packed(lines: str) -> str:
    return b64encode(zlib.compress(lines.encode())).decode()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("", "it isn't a record of a rollout's increments: ", id="nothing"),
        pytest.param("[]", "it isn't a record of a rollout's increments: ", id="a list"),
        pytest.param("[" * 10**6, "it isn't a record of a rollout's increments: ", id="deep"),
        pytest.param('{"version": 2}', "it is a record of version 2, and this tidegate reads version 1", id="newer"),
        pytest.param('{"version": 1}', "whose record it is can't be read: ", id="of nobody"),
        pytest.param('{"version": 1, "about": {}, "parts": []}', "whose record it is", id="of a shapeless one"),
    ],
)
def test_what_is_no_record_is_refused_in_a_sentence(text: str, why: str) -> None:
    with pytest.raises(RecordUnusable, match=why):
        decode(text)


@pytest.mark.parametrize(
    "part",
    [
        pytest.param("?", id="no base64"),
        pytest.param("AAAA", id="not compressed"),
        pytest.param(packed("{"), id="no JSON"),
        pytest.param(packed("3"), id="a number"),
        pytest.param(packed("[]"), id="an empty entry"),
        pytest.param(packed('["z"]'), id="an unknown kind"),
        pytest.param(packed('["t",0,0,0]'), id="a source that was never named"),
        pytest.param(packed('["n","Prometheus"]\n["t",0,0,0,[1,2,3,4,5,6,7]]'), id="more counts than there are"),
        pytest.param(packed('["n","Prometheus"]\n["t",0,1e300]'), id="an instant that there isn't"),
        pytest.param(packed('["l",0]'), id="a look at nothing"),
        pytest.param(packed('["b",{}]'), id="a test of nothing"),
        pytest.param(packed("[" * 10**5), id="deep"),
    ],
)
def test_parts_that_make_no_sense_are_refused_in_a_sentence(analysis: Analysis, part: str) -> None:
    with pytest.raises(RecordUnusable, match="the record of b can't be read: ") as refused:
        decode(altered(kept(analysis), parts=[part]))

    assert "\n" not in str(refused.value)


def test_a_part_that_is_cut_off_or_swells_is_refused(analysis: Analysis, monkeypatch: pytest.MonkeyPatch) -> None:
    text = kept(analysis)
    (part, *_) = json.loads(text)["parts"]
    with pytest.raises(RecordUnusable, match="cut off"):
        decode(altered(text, parts=[b64encode(b64decode(part)[:-9]).decode()]))
    monkeypatch.setattr(module, "LARGEST_UNPACKED", 1000)
    with pytest.raises(RecordUnusable, match="larger than 1000 bytes"):
        decode(text)


# --- while it is under way --------------------------------------------------------------------------------------------


def second(number: int, chance: random.Random) -> Increment:
    """What a second of a canary brings."""
    stable, candidate = (Counts(chance.randrange(10**9), chance.randrange(10**6)) for _ in range(2))
    return Increment(BEGAN + number * SECOND, stable, candidate)


class Rollout:
    """One that is judged each second, and all that was recorded of it."""

    def __init__(self, analysis: Analysis, recorder: Recorder | None = None) -> None:
        self.chance = random.Random(7)
        self.test = SequentialTest(SequentialTestParameters(analysis))
        self.recorder = recorder or Recorder()
        self.recorder.began(self.test)
        self.given: list[Entry] = [Began(self.test.parameters)]
        self.seconds = 0

    def run(self, seconds: int) -> "Rollout":
        for _ in range(seconds):
            self.seconds += 1
            counted = second(self.seconds, self.chance)
            self.test.update_traffic(counted)
            self.recorder.counted(Traffic(ROUTERS, counted), self.test)
            self.given.append(Traffic(ROUTERS, counted))
        return self

    def look(self, answer: Answer = Answer.NOT_ENOUGH) -> None:
        at, asked = BEGAN + self.seconds * SECOND, Asked(0.5, False, 0, (), ())
        said = Said(answer, "MoreRequestsNeeded", f"{self.seconds} s", Evidence(0.5, 100.0, 0.1, 2.0))
        self.recorder.looked(at + timedelta(microseconds=123_456), asked, said, self.test)
        self.given.append(Looked(at + timedelta(milliseconds=123), asked, said))

    @property
    def record(self) -> Record:
        text = self.recorder.text(HEADER)
        assert text
        return decode(text)


def test_a_recorder_keeps_what_it_is_given(analysis: Analysis) -> None:
    rollout = Rollout(analysis).run(100)

    assert rollout.record == Record(HEADER, tuple(rollout.given))
    rollout.run(100)
    assert rollout.record == Record(HEADER, tuple(rollout.given))


def test_what_an_older_release_did_not_write_has_its_default() -> None:
    told = Asked(0.5, False, 0, (), ())
    assert from_plain(Asked, plain(told)[:-1]) == told
    for data in (plain(told)[:-2], [*plain(told), None]):
        with pytest.raises(ValueError, match="values for Asked, which has 6"):
            from_plain(Asked, data)


def test_a_verdict_is_written_down_where_it_is_another_than_before(analysis: Analysis) -> None:
    rollout = Rollout(analysis)
    for answer in (Answer.NOT_ENOUGH, Answer.NOT_ENOUGH, Answer.ACCEPTABLE, Answer.ACCEPTABLE):
        rollout.run(1).look(answer)
    looks = [each for each in rollout.record.entries if isinstance(each, Looked)]

    assert [look.said and look.said.message for look in looks] == ["1 s", None, "3 s", None]
    assert [look.at for look in looks] == [each.at for each in rollout.given if isinstance(each, Looked)]


def test_what_is_beyond_the_bound_costs_the_oldest_part_and_the_rest_is_repeated_from_there(
    analysis: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST", 12_000)
    monkeypatch.setattr(module, "PART", 300)
    rollout = Rollout(analysis).run(700)
    first, *rest = rollout.record.entries
    increments = [each for each in rest if isinstance(each, Traffic)]

    assert isinstance(first, Resumed)
    assert len(rollout.recorder.text(HEADER) or "") < 12_500
    assert increments == rollout.given[-len(increments) :]
    assert 50 < len(increments) < 500
    assert repeated(rollout.record) == written_down(rollout.test)


def repeated(record: Record) -> object:
    """The state of a test that is given what was recorded; at each part it is what was written down there."""
    test: SequentialTest | None = None
    for entry in record.entries:
        match entry:
            case Began(made_with):
                test = SequentialTest(made_with)
            case Resumed(state):
                assert test is None or written_down(test) == state
                test = taken_up(state)
            case Traffic(_, counted):
                assert test
                test.update_traffic(counted)
            case _:
                raise AssertionError(entry)
    assert test
    return written_down(test)


def test_a_part_that_alone_is_too_large_is_not_kept(analysis: Analysis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 100)

    assert Rollout(analysis).run(100).recorder.text(HEADER) is None


def test_after_a_restart_it_goes_on_where_it_was(analysis: Analysis) -> None:
    rollout = Rollout(analysis).run(50)
    text = rollout.recorder.text(HEADER)
    assert text
    rollout.recorder = Recorder.resumed(taken_up(written_down(rollout.test)), text, HEADER)
    rollout.run(50)
    record = rollout.record

    assert [each for each in record.entries if not isinstance(each, Resumed)] == rollout.given
    assert sum(isinstance(each, Resumed) for each in record.entries) == 1
    assert repeated(record) == written_down(rollout.test)


def test_restarts_in_which_nothing_is_counted_add_nothing(analysis: Analysis) -> None:
    rollout = Rollout(analysis).run(50)
    first = text = rollout.recorder.text(HEADER)
    for _ in range(5):
        text = Recorder.resumed(rollout.test, text or "", HEADER).text(HEADER)

    assert text == first


@pytest.mark.parametrize("text", ["", "?", encode(Record(replace(HEADER, candidate="c"), (Resumed({}),)))])
def test_without_its_own_record_it_begins_with_what_the_test_knows(analysis: Analysis, text: str) -> None:
    rollout = Rollout(analysis).run(50)
    recorder = Recorder.resumed(rollout.test, text, HEADER)

    assert decode(recorder.text(HEADER) or "") == Record(HEADER, (Resumed(written_down(rollout.test)),))


def test_what_can_not_be_written_down_costs_the_record_and_nothing_else(analysis: Analysis) -> None:
    rollout = Rollout(analysis).run(3)
    counted = replace(second(4, rollout.chance), load=Load([], 1.0))  # type: ignore[arg-type]
    rollout.recorder.counted(Traffic(ROUTERS, counted), rollout.test)
    rollout.run(3)

    assert rollout.recorder.text(HEADER) is None
    assert rollout.recorder.failure.startswith("Traffic can't be written down: TypeError: ")
