"""Runs the probes: stalled bodies, slow heads and the rest have a server each, so that one can't spoil the other."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import TypeVar

from benchmarks.errors import BenchmarkError
from benchmarks.http_servers.ending import end_under_load
from benchmarks.http_servers.request_bodies import arrives_in_chunks, refuses
from benchmarks.http_servers.results import Ending, Facts
from benchmarks.http_servers.setups import ComparedServer
from benchmarks.http_servers.side_by_side import PROTOCOL, Case, side_by_side, start_compared
from benchmarks.http_servers.slow_clients import hold_bodies, hold_heads, keep_idle
from benchmarks.progress import Progress
from benchmarks.server.server_process import ServerProcess

AT_ONCE = 4
T = TypeVar("T")


@dataclass(frozen=True)
class Probes:
    """`note` takes a server's label and what went wrong; `idle_seconds`: how long an idle connection is watched."""

    case: Case
    progress: Progress
    idle_seconds: float
    note: Callable[[str, str], None]

    def facts(self, all_compared: Sequence[ComparedServer]) -> dict[str, Facts]:
        """All but the end, by label."""
        self.progress.step("three of each server start, for the probes")
        with side_by_side([compared for compared in all_compared for _ in range(3)], self.case) as servers:
            threes = {
                compared.label: self._three(compared.label, servers[3 * at : 3 * at + 3])
                for at, compared in enumerate(all_compared)
            }
            return asyncio.run(self._all({label: three for label, three in threes.items() if len(three) == 3}))

    def endings(self, all_compared: Sequence[ComparedServer], rounds: int) -> dict[str, Ending]:
        """By label, the rounds added up."""
        jobs = [compared for _ in range(rounds) for compared in all_compared]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            seen = list(pool.map(self._one_ending, jobs))
        rounds_of: dict[str, list[Ending]] = {}
        for compared, ending in zip(jobs, seen, strict=True):
            if ending is not None:
                rounds_of.setdefault(compared.label, []).append(ending)
        return {label: reduce(add, endings) for label, endings in rounds_of.items()}

    def _three(self, label: str, servers: Sequence[ServerProcess | str]) -> list[ServerProcess]:
        for why in (server for server in servers if isinstance(server, str)):
            self.note(label, why)
        return [server for server in servers if isinstance(server, ServerProcess)]

    async def _all(self, threes: dict[str, list[ServerProcess]]) -> dict[str, Facts]:
        self.progress.step("bodies in chunks, and bodies that are too large")
        few = asyncio.Semaphore(AT_ONCE)
        found = await asyncio.gather(*(self._whole_bodies(few, label, three[0]) for label, three in threes.items()))
        self.progress.step(f"slow clients, and idle ones for {self.idle_seconds:.0f} s")
        pairs = zip(threes.items(), found, strict=True)
        complete = await asyncio.gather(*(self._patience(label, three, facts) for (label, three), facts in pairs))
        return dict(zip(threes, complete, strict=True))

    async def _whole_bodies(self, few: asyncio.Semaphore, label: str, server: ServerProcess) -> Facts:
        request, port = self.case.request, server.port
        async with few:
            return Facts(
                chunked=await self._tried(label, arrives_in_chunks(port, request, PROTOCOL, self.case.expected)),
                declared=await self._tried(label, refuses(port, request, declared=True)),
                undeclared=await self._tried(label, refuses(port, request, declared=False)),
            )

    async def _patience(self, label: str, three: Sequence[ServerProcess], facts: Facts) -> Facts:
        path = self.case.request.path
        for_idle, for_bodies, for_heads = ((server.port, self.case.request.sent_to(server.address)) for server in three)
        idle, bodies, heads = await asyncio.gather(
            self._tried(label, keep_idle(*for_idle, self.idle_seconds)),
            self._tried(label, hold_bodies(for_bodies[0], path, for_bodies[1])),
            self._tried(label, hold_heads(for_heads[0], path, for_heads[1])),
        )
        return replace(facts, idle=idle, bodies=bodies, heads=heads)

    async def _tried(self, label: str, probe: Awaitable[T]) -> T | None:
        try:
            return await probe
        except (OSError, TimeoutError) as error:
            self.note(label, f"a probe failed: {type(error).__name__} {error}".strip())
            return None

    def _one_ending(self, compared: ComparedServer) -> Ending | None:
        """On a server of its own."""
        self.progress.step(f"{compared.label}: SIGTERM under load")
        try:
            with start_compared(compared, self.case) as server:
                request = self.case.request.sent_to(server.address)
                return asyncio.run(end_under_load(server.port, server.pid, request))
        except (BenchmarkError, OSError) as error:
            self.note(compared.label, f"couldn't be ended under load: {error}")
            return None
