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

from benchmarks.errors import BenchmarkError
from benchmarks.http_client import Connection, NoResponse, Response, connect, request_bytes
from benchmarks.processes import cpu_seconds, resident_bytes
from benchmarks.progress import Progress
from benchmarks.server.server_process import ServerProcess
from benchmarks.server_trials.grpc_calls import CallCounts, calling
from benchmarks.server_trials.memory import Flatness, Sample, flatness
from benchmarks.server_trials.models import readings
from benchmarks.server_trials.requests import BAD_KINDS, GOOD_KINDS, Kind, Message, ResponseChecker, end_as
from benchmarks.server_trials.server_under_test import faults, start_tidegate

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
        """Notes a wrong answer to a message of this kind."""
        self.wrong.append(f"{name}: {sentence}")


@dataclass(frozen=True)
class SoakResult:
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
        """Of the server's memory."""
        return flatness(self.samples, self.seconds)

    @property
    def server_errors(self) -> int:
        """How many answers were a 5xx."""
        return sum(count for status, count in self.counts.answers.items() if status >= 500)

    @property
    def is_good(self) -> bool:
        """Every answer right, no fault in the log, and memory flat."""
        clean = not (self.counts.wrong or self.calls.wrong or self.faults or self.server_errors)
        return clean and self.flatness.is_flat


def soak(folder: Path, minutes: float, environment: Mapping[str, str], progress: Progress) -> SoakResult:
    """Raises BenchmarkError when the server can't be started."""
    model = readings(folder)
    progress.note("writing what will be asked")
    load = Load(model, seed=1)
    with start_tidegate(model, environment) as server, calling(server.grpc_port) as calls:
        progress.note(f"{minutes:g} minutes of load begin")
        used = cpu_seconds(server.pid)
        samples = uvloop.run(_minutes(server, load, minutes * 60, progress))
        used = cpu_seconds(server.pid) - used
        if server.has_ended:
            raise BenchmarkError(f"the server ended under the load: {server.last_log_line()}")
        found = tuple(faults(server))
    return SoakResult(minutes * 60, load.counts, calls, tuple(samples), used / (minutes * 60), found)


async def _minutes(server: ServerProcess, load: "Load", seconds: float, progress: Progress) -> list[Sample]:
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


async def _scrape(server: ServerProcess, counts: Counts, until: float) -> None:
    request = request_bytes("/metrics", method="GET")
    while perf_counter() < until:
        try:
            connection = await connect(server.admin_port)
            response = await connection.ask(request)
            connection.close()
        except (OSError, NoResponse) as error:
            counts.objected("scrape", str(error))
        else:
            counts.scrapes += 1
            if response.status != 200 or b"tidegate_" not in response.body:
                counts.objected("scrape", f"status {response.status}")
        await asyncio.sleep(min(SCRAPE_SECONDS, max(0.0, until - perf_counter())))


class Load:
    """What is asked, and what came of it. One for all connections."""

    def __init__(self, model: Path, seed: int, kinds: Sequence[Kind] = (*GOOD_KINDS, *BAD_KINDS)) -> None:
        self.counts = Counts()
        self._random, self._checker = Random(seed), ResponseChecker(str(model))
        self._kinds, self._shares = kinds, [kind.share for kind in kinds]
        self._pools = {kind.name: [kind.make(self._random) for _ in range(kind.pool)] for kind in kinds}

    async def ask(self, port: int, until: float) -> None:
        """One client's life: message after message, on one connection as long as that holds."""
        connection: Connection | None = None
        while perf_counter() < until:
            (kind,) = self._random.choices(self._kinds, self._shares)
            message = self._random.choice(self._pools[kind.name])
            self.counts.sent[kind.name] += 1
            try:
                connection = connection or await connect(port)
                stays = await self._exchange(connection, kind, message)
            except (OSError, NoResponse) as error:
                self.counts.objected(kind.name, str(error))
                stays = False
            if not stays and connection is not None:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    async def _exchange(self, connection: Connection, kind: Kind, message: Message) -> bool:
        """Whether the connection can be used again."""
        if message.answers == 0:
            await self._leave(connection, kind, message)
            return False
        sending = asyncio.create_task(connection.send(message.data)) if len(message.data) > 2**16 else None
        if sending is None:
            await connection.send(message.data)
        try:
            for _ in range(message.answers):
                response = await connection.response()
                self._check(kind, message, response)
        finally:
            if sending is not None:
                sending.cancel()
        return not response.closes and (sending is None or sending.done())

    async def _leave(self, connection: Connection, kind: Kind, message: Message) -> None:
        await connection.send(message.data)
        if not end_as(message.end, connection):
            return
        try:
            response = await connection.response(patience=AFTER_REFUSAL_SECONDS)
        except NoResponse as broken:
            if "no answer" in str(broken):
                self.counts.objected(kind.name, "the server held on to the connection of a client that had left")
            return
        self.counts.answers[response.status] += 1
        if not 400 <= response.status < 500:
            self.counts.objected(kind.name, f"{response.status} {response.body[:80]!r}")

    def _check(self, kind: Kind, message: Message, response: Response) -> None:
        self.counts.answers[response.status] += 1
        if response.status == 429:
            self.counts.turned_away += 1
            return
        if response.status not in kind.statuses:
            self.counts.objected(kind.name, f"{response.status} {response.body[:120]!r}")
        elif response.status == 200 and (objection := self._checker.objection(message, response)) is not None:
            self.counts.objected(kind.name, objection)
