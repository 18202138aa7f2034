"""Clients that want more than their share: thousands of requests ahead, tiny chunks, slow bodies, answers left untaken.

Meanwhile somebody probes the server. No answer may be a 5xx of the server's own, no probe may wait, and the memory has
to stay within what its settings allow.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from random import Random
from statistics import median
from time import monotonic

import numpy as np
import uvloop

from benchmarks.errors import BenchmarkError
from benchmarks.http_client import Connection, NoResponse, connect, request_bytes
from benchmarks.markdown import counted, met, table
from benchmarks.processes import own_bytes, peak_bytes
from benchmarks.progress import Progress
from benchmarks.server.server_process import ServerProcess, start_server
from benchmarks.server.setups import Launch, LaunchContext, ServerSetup, tidegate_setup
from benchmarks.server_trials.amount import Amount
from benchmarks.server_trials.models import readings
from benchmarks.server_trials.prober import Probes, probing
from benchmarks.server_trials.server_under_test import NAME, faults

MEBIBYTE = 2**20
HELD_BYTES = 64 * MEBIBYTE
SETTINGS = {
    "TIDEGATE_PROCESSES": "1",
    "TIDEGATE_MAX_BODY_BYTES": str(4 * MEBIBYTE),
    "TIDEGATE_MAX_HELD_BYTES": str(HELD_BYTES),
    "TIDEGATE_BODY_TIMEOUT_SECONDS": "2",
}
MOST_GROWTH = 3 * HELD_BYTES
"""A request lives as bytes, as values and as arrays at once; what may be held is chosen for that."""
LONGEST_PROBE_SECONDS = 0.25
MOST_AHEAD, CLIENTS = 2000, 24
AHEAD = "hundreds of requests ahead"
FEW_FILES, MANY_CONNECTIONS = 70, 120
TOO_MANY_CONNECTIONS = 503
LIVE = request_bytes("/v2/health/live", method="GET")


Session = Callable[[Connection, "GreedyResult", Random], Awaitable[None]]


@dataclass
class GreedyResult:
    """What came of it. `growth` of the peak of the server's memory over its start, in bytes."""

    answers: Counter[int] = field(default_factory=Counter)
    sessions: Counter[str] = field(default_factory=Counter)
    probes: Probes = field(default_factory=Probes)
    growth: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def failures(self) -> int:
        """5xx answers, but for those to one connection too many."""
        return sum(count for status, count in self.answers.items() if status >= 500 and status != TOO_MANY_CONNECTIONS)

    @property
    def is_good(self) -> bool:
        """Whether nobody else has noticed anything."""
        in_time = max(self.probes.own, default=float("inf")) <= LONGEST_PROBE_SECONDS
        return in_time and not (self.failures or self.wrong) and self.growth <= MOST_GROWTH


def try_greed(folder: Path, amount: Amount, seed: int, progress: Progress) -> tuple[GreedyResult, GreedyResult]:
    """So much, and a tenth of that with few files and many connections."""
    model, random = readings(folder), Random(seed)
    setup = tidegate_setup(SETTINGS)
    plain = _try(setup, model, amount, KINDS, CLIENTS, random)
    progress.note(f"{plain.answers.total()} answers, the longest probe {max(plain.probes.waits):.3f} s")
    few = _try(_with_few_files(setup), model, amount.part(1 / 10), {AHEAD: _ahead}, MANY_CONNECTIONS, random)
    progress.note(f"with {FEW_FILES} files: {few.answers.total()} answers")
    return plain, few


def _with_few_files(setup: ServerSetup) -> ServerSetup:
    def launch(context: LaunchContext) -> Launch:
        plain = setup.launch(context)
        return Launch(["prlimit", f"--nofile={FEW_FILES}:{FEW_FILES}", *plain.command], plain.environment)

    return replace(setup, launch=launch)


def _try(
    setup: ServerSetup, model: Path, amount: Amount, kinds: dict[str, Session], clients: int, random: Random
) -> GreedyResult:
    result = GreedyResult()
    with start_server(setup, NAME, model) as server:
        before = own_bytes(server.pid)
        with probing(server.admin_port, server.pid) as result.probes:
            uvloop.run(_load(server, amount, kinds, clients, result, random))
        result.growth = peak_bytes(server.pid) - before
        result.wrong += [*result.probes.wrong, *faults(server)]
        if server.has_ended:
            raise BenchmarkError(f"the server died: {server.last_log_line()}")
    return result


async def _load(
    server: ServerProcess,
    amount: Amount,
    kinds: dict[str, Session],
    clients: int,
    result: GreedyResult,
    random: Random,
) -> None:
    ends = monotonic() + amount.seconds

    async def client() -> None:
        while result.answers.total() < amount.requests and monotonic() < ends and not server.has_ended:
            name = random.choice(list(kinds))
            result.sessions[name] += 1
            with suppress(OSError, NoResponse):  # the server may end whom it likes, but must say nothing wrong
                connection = await connect(server.port)
                try:
                    await kinds[name](connection, result, random)
                finally:
                    connection.abort()

    await asyncio.gather(*(client() for _ in range(clients)))


# --- sessions, one connection each


async def _take(connection: Connection, result: GreedyResult) -> bool:
    """False where the connection is no good for another answer."""
    response = await connection.response()
    result.answers[response.status] += 1
    return not response.closes


async def _ahead(connection: Connection, result: GreedyResult, random: Random) -> None:
    """Hundreds of requests at once: probes, questions, offers to upgrade, and what isn't there."""
    count = random.choice([20, 200, MOST_AHEAD])
    offer = request_bytes("/v2/health/live", method="GET", upgrade="h2c", connection="upgrade")
    kinds = [LIVE, LIVE, _question(4, 0), offer, request_bytes("/v2/nothing", method="GET")]
    requests = [random.choice(kinds) for _ in range(count)]
    sending = asyncio.create_task(connection.send(b"".join(requests)))
    for _ in requests:
        if not await _take(connection, result):
            break
    await sending


async def _in_crumbs(connection: Connection, result: GreedyResult, _random: Random) -> None:
    """A body of half a megabyte, two bytes at a time."""
    sending = asyncio.create_task(connection.send(_question(125_000, 2)))
    await _take(connection, result)
    await sending


async def _slow_body(connection: Connection, result: GreedyResult, random: Random) -> None:
    """Most of a large body, and then nothing more."""
    request = _question(900_000, 0)
    await connection.send(request[: random.randint(len(request) // 2, len(request) - 1)])
    await _take(connection, result)


async def _untaken(connection: Connection, result: GreedyResult, random: Random) -> None:
    """A large answer, which isn't read for a while, or never."""
    connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await connection.send(_question(500_000, 0))
    await asyncio.sleep(random.choice([0.1, 0.5, 2.0]))
    connection.writer.transport.resume_reading()  # type: ignore[attr-defined]
    if random.random() < 0.5:
        await _take(connection, result)


@cache
def _question(width: int, chunk: int) -> bytes:
    """One row of so many numbers as bytes, in pieces of `chunk`."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, width], "parameters": {"binary_data_size": 4 * width}}
    wanted = {"name": "waves", "parameters": {"binary_data": True}}
    head = json.dumps({"inputs": [tensor], "outputs": [wanted]}).encode()
    body = head + np.zeros(width, np.float32).tobytes()
    path = f"/v2/models/{NAME}/infer"
    return request_bytes(path, body, chunk=chunk, inference_header_content_length=len(head))


KINDS: dict[str, Session] = {
    AHEAD: _ahead,
    "bodies in chunks of two bytes": _in_crumbs,
    "bodies that stop": _slow_body,
    "answers that aren't taken": _untaken,
}


def _milliseconds(seconds: list[float]) -> str:
    in_order = sorted(seconds)
    return (
        f"{1000 * median(in_order):.1f}, {1000 * in_order[int(0.999 * len(in_order))]:.0f}, {1000 * in_order[-1]:.0f}"
    )


def greedy_report(plain: GreedyResult, few: GreedyResult) -> str:
    """Markdown."""
    rows = [
        [
            what,
            f"{one.answers.total():,}",
            counted(one.answers),
            str(one.failures),
            _milliseconds(one.probes.waits),
            _milliseconds(one.probes.machine),
            f"{1000 * max(one.probes.own):.0f}",
            f"{one.growth / MEBIBYTE:.0f} of {MOST_GROWTH // MEBIBYTE}",
            met(one.is_good),
        ]
        for what, one in (
            (f"{CLIENTS} clients", plain),
            (f"{MANY_CONNECTIONS} clients, {FEW_FILES} open files at most", few),
        )
    ]
    probes = ["a probe waits, ms: median, 99.9 %, longest", "of which for a CPU", "longest but for that, ms"]
    heads = ["load", "answers", "by status", "5xx", *probes, "memory grew by, MiB", ""]
    wrong = [f"- {count} × {sentence}" for sentence, count in Counter([*plain.wrong, *few.wrong]).most_common(10)]
    sessions = f"Connections: {counted(plain.sessions)}; with few files {counted(few.sessions)}."
    return "\n".join([table([heads, *rows]), "", sessions, *(["", *wrong] if wrong else [])])
