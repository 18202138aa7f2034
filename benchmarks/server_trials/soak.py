"""Minutes at saturation with mixed shapes and bad requests: is memory flat, and is every answer what it should be?"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter

import uvloop

from benchmarks.server.progress import Progress
from benchmarks.server_trials.calls import CallCounts, calling
from benchmarks.server_trials.errors import TrialError
from benchmarks.server_trials.memory import Flatness, Sample, cpu_seconds, flatness, resident_bytes
from benchmarks.server_trials.models import readings
from benchmarks.server_trials.questions import BAD_KINDS, GOOD_KINDS, End, Judge, Kind, Message
from benchmarks.server_trials.servers import Tried, tried
from benchmarks.server_trials.wire import Broken, Reply, Wire, connect, request_bytes

CONNECTIONS = 32
SCRAPE_SECONDS = 5.0
SAMPLES = 60
"""Of memory, evenly over the time: one each 10 s of 10 minutes."""
READINGS = 50
"""For each sample, which is their median: the bodies under way at one moment are no growth."""
SAMPLES_BETWEEN_NOTES = 10
AFTER_REFUSAL_SECONDS = 5.0


@dataclass
class Counts:
    """By the name of the kind of message."""

    sent: Counter[str] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)
    turned_away: int = 0
    scrapes: int = 0
    wrong: list[str] = field(default_factory=list)

    def objected(self, name: str, sentence: str) -> None:
        self.wrong.append(f"{name}: {sentence}")


@dataclass(frozen=True)
class Soaked:
    """One soak's result. `faults` are lines of the server's log."""

    seconds: float
    counts: Counts
    calls: CallCounts
    samples: tuple[Sample, ...]
    cpu_share: float
    """CPUs that the server used, of all time."""
    faults: tuple[str, ...]

    @property
    def flatness(self) -> Flatness:
        return flatness(self.samples, self.seconds)

    @property
    def server_errors(self) -> int:
        return sum(count for status, count in self.counts.answers.items() if status >= 500)

    @property
    def is_good(self) -> bool:
        clean = not (self.counts.wrong or self.calls.wrong or self.faults or self.server_errors)
        return clean and self.flatness.is_flat


def soak(folder: Path, minutes: float, environment: Mapping[str, str], progress: Progress) -> Soaked:
    """Raises TrialError when the server can't be started."""
    model = readings(folder)
    progress.note("writing what will be asked")
    load = Load(model, seed=1)
    with tried(model, environment) as server, calling(server.grpc_port) as calls:
        progress.note(f"{minutes:g} minutes of load begin")
        used = cpu_seconds(server.pid)
        samples = uvloop.run(_minutes(server, load, minutes * 60, progress))
        used = cpu_seconds(server.pid) - used
        if server.has_ended:
            raise TrialError(f"the server ended under the load: {server.running.last_words()}")
        faults = tuple(server.faults())
    return Soaked(minutes * 60, load.counts, calls, tuple(samples), used / (minutes * 60), faults)


async def _minutes(server: Tried, load: "Load", seconds: float, progress: Progress) -> list[Sample]:
    began = perf_counter()
    until = began + seconds
    asking = [asyncio.create_task(load.ask(server.port, until)) for _ in range(CONNECTIONS)]
    scraping = asyncio.create_task(_scrape(server, load.counts, until))
    samples = []
    for number in range(SAMPLES):
        samples.append(await _sample(server.pid, began, number * seconds / SAMPLES, seconds / SAMPLES / READINGS))
        if number % SAMPLES_BETWEEN_NOTES == SAMPLES_BETWEEN_NOTES - 1:
            sent, wrong = load.counts.sent.total(), len(load.counts.wrong)
            progress.note(f"{samples[-1].bytes / 2**20:.1f} MiB, {sent} messages, {wrong} wrong answers")
    await asyncio.gather(scraping, *asking)
    return samples


async def _sample(pid: int, began: float, after: float, pause: float) -> Sample:
    readings = []
    for number in range(1, READINGS + 1):
        await asyncio.sleep(max(0.0, began + after + number * pause - perf_counter()))
        readings.append(resident_bytes(pid))
    return Sample(perf_counter() - began, int(median(readings)), min(readings), max(readings))


async def _scrape(server: Tried, counts: Counts, until: float) -> None:
    request = request_bytes("/metrics", method="GET")
    while perf_counter() < until:
        try:
            wire = await connect(server.admin_port)
            reply = await wire.ask(request)
            wire.close()
        except (OSError, Broken) as error:
            counts.objected("scrape", str(error))
        else:
            counts.scrapes += 1
            if reply.status != 200 or b"tidegate_" not in reply.body:
                counts.objected("scrape", f"status {reply.status}")
        await asyncio.sleep(min(SCRAPE_SECONDS, max(0.0, until - perf_counter())))


class Load:
    """What is asked, and what came of it. One for all connections."""

    def __init__(self, model: Path, seed: int, kinds: Sequence[Kind] = (*GOOD_KINDS, *BAD_KINDS)) -> None:
        self.counts = Counts()
        self._random, self._judge = Random(seed), Judge(str(model))
        self._kinds, self._shares = kinds, [kind.share for kind in kinds]
        self._pools = {kind.name: [kind.make(self._random) for _ in range(kind.pool)] for kind in kinds}

    async def ask(self, port: int, until: float) -> None:
        """One client's life: message after message, on one connection as long as that holds."""
        wire: Wire | None = None
        while perf_counter() < until:
            (kind,) = self._random.choices(self._kinds, self._shares)
            message = self._random.choice(self._pools[kind.name])
            self.counts.sent[kind.name] += 1
            try:
                wire = wire or await connect(port)
                stays = await self._exchange(wire, kind, message)
            except (OSError, Broken) as error:
                self.counts.objected(kind.name, str(error))
                stays = False
            if not stays and wire is not None:
                wire.close()
                wire = None
        if wire is not None:
            wire.close()

    async def _exchange(self, wire: Wire, kind: Kind, message: Message) -> bool:
        """Whether the connection can be used again."""
        if message.answers == 0:
            await self._leave(wire, kind, message)
            return False
        sending = asyncio.create_task(wire.send(message.data)) if len(message.data) > 2**16 else None
        if sending is None:
            await wire.send(message.data)
        try:
            for _ in range(message.answers):
                reply = await wire.reply()
                self._check(kind, message, reply)
        finally:
            if sending is not None:
                sending.cancel()
        return not reply.closes and (sending is None or sending.done())

    async def _leave(self, wire: Wire, kind: Kind, message: Message) -> None:
        await wire.send(message.data)
        if message.end is End.RESET:
            wire.reset()
        if message.end is not End.HALF_CLOSE:
            return
        wire.end_sending()
        try:
            reply = await wire.reply(patience=AFTER_REFUSAL_SECONDS)
        except Broken as broken:
            if "no answer" in str(broken):
                self.counts.objected(kind.name, "the server held on to the connection of a client that had left")
            return
        self.counts.answers[reply.status] += 1
        if not 400 <= reply.status < 500:
            self.counts.objected(kind.name, f"{reply.status} {reply.body[:80]!r}")

    def _check(self, kind: Kind, message: Message, reply: Reply) -> None:
        self.counts.answers[reply.status] += 1
        if reply.status == 429:
            self.counts.turned_away += 1
            return
        if reply.status not in kind.statuses:
            self.counts.objected(kind.name, f"{reply.status} {reply.body[:120]!r}")
        elif reply.status == 200 and (objection := self._judge.objection(message, reply)) is not None:
            self.counts.objected(kind.name, objection)
