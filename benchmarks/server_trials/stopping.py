"""SIGTERM to a server under load, as when a pod ends: what do its clients lose?

The client stands for a router. It keeps connections open and uses them again; when one is told to close, the next one
goes to a second server that stays. New connections go to the ending server until the router has heard that it ends,
which takes a moment, and to the other one after that. A stubborn router hears nothing, and goes elsewhere only when it
is refused. Nothing is asked twice: whatever isn't answered is lost.
"""

import asyncio
import os
import signal
from collections import Counter
from dataclasses import dataclass, field
from time import perf_counter, sleep

import uvloop

from benchmarks.http_client import Connection, NoResponse, Response, connect
from benchmarks.processes import has_ended

BEFORE_SECONDS = 1.5
AFTER_SECONDS = 3.5
PROPAGATION_SECONDS = 1.0
"""From the signal until new connections go elsewhere."""
OPENERS = 4
OPENER_PAUSE_SECONDS = 0.02
GRACE_SECONDS = 30.0
"""Kubernetes' own; then it kills."""
PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class LoadProfile:
    """`per_second` None: every connection asks again as soon as it's answered. `openers` make new ones all the time."""

    connections: int
    per_second: float | None
    openers: int = OPENERS
    opener_pause_seconds: float = OPENER_PAUSE_SECONDS
    is_stubborn: bool = False

    def __str__(self) -> str:
        how = "at saturation" if self.per_second is None else f"{self.per_second:g} a second"
        whose = ", a stubborn router" if self.is_stubborn else ""
        return f"{how}, {self.connections} connections{whose}"


PACED = LoadProfile(16, 200)
PROFILES = (PACED, LoadProfile(16, None), LoadProfile(64, None))
STUBBORN = LoadProfile(16, None, openers=16, opener_pause_seconds=0.005, is_stubborn=True)
"""Some 1000 connections a second; for as long as they are let in."""


@dataclass
class StopResult:
    """One round, or several added up. Kept connections are those that were open when the signal came."""

    rounds: int = 1
    answered: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    """Requests on kept connections without an answer, or with another status than 200, by what came instead."""
    told: int = 0
    untold: int = 0
    """Kept connections that were closed between two requests without a word."""
    new: int = 0
    new_lost: Counter[str] = field(default_factory=Counter)
    left_open: int = 0
    """Kept connections that were still open, and not told, when the load ended."""
    exit_seconds: list[float] = field(default_factory=list)
    killed: int = 0
    """Not gone within the grace period."""

    @property
    def is_good(self) -> bool:
        """Nothing was lost, everybody was told, and it ended by itself."""
        return not (self.lost or self.untold or self.new_lost or self.left_open or self.killed)

    def add(self, other: "StopResult") -> None:
        """Takes in the counts of other rounds."""
        self.rounds += other.rounds
        self.answered += other.answered
        self.told += other.told
        self.untold += other.untold
        self.new += other.new
        self.left_open += other.left_open
        self.killed += other.killed
        self.lost.update(other.lost)
        self.new_lost.update(other.new_lost)
        self.exit_seconds += other.exit_seconds


def stop_under(profile: LoadProfile, port: int, pid: int, other_port: int, request: bytes) -> StopResult:
    """One round: load, SIGTERM to `pid`, load, and the wait for its end."""
    return uvloop.run(_Round(profile, port, other_port, request).run(pid))


class _Round:
    def __init__(self, profile: LoadProfile, port: int, other_port: int, request: bytes) -> None:
        self.result = StopResult()
        self._pressure, self._port, self._other_port, self._request = profile, port, other_port, request
        self._due: asyncio.Queue[None] = asyncio.Queue()
        self._signalled: float | None = None
        self._is_over = False

    async def run(self, pid: int) -> StopResult:
        connections = [await connect(self._port) for _ in range(self._pressure.connections)]
        kept = [asyncio.create_task(self._keep(connection)) for connection in connections]
        others = [asyncio.create_task(self._open()) for _ in range(self._pressure.openers)]
        if self._pressure.per_second is not None:
            others.append(asyncio.create_task(self._pace(self._pressure.per_second)))
        await asyncio.sleep(BEFORE_SECONDS)
        os.kill(pid, signal.SIGTERM)
        self._signalled = perf_counter()
        ended = asyncio.create_task(asyncio.to_thread(wait_for_end, pid, self._signalled))
        # A stubborn router goes on until it is shut out.
        await asyncio.gather(asyncio.sleep(AFTER_SECONDS), *([ended] if self._pressure.is_stubborn else []))
        self._is_over = True
        for _ in kept:
            self._due.put_nowait(None)
        await asyncio.gather(*kept, *others)
        seconds = await ended
        if seconds is None:
            self.result.killed = 1
        else:
            self.result.exit_seconds.append(seconds)
        return self.result

    async def _pace(self, per_second: float) -> None:
        began, number = perf_counter(), 0
        while not self._is_over:
            number += 1
            self._due.put_nowait(None)
            await asyncio.sleep(max(0.0, began + number / per_second - perf_counter()))

    async def _keep(self, first: Connection) -> None:
        """One client: its first connection is the one that has to be told."""
        connection = first
        while await self._is_asked_for():
            if connection is first and connection.has_ended:
                self.result.untold += 1
                connection = await self._elsewhere(connection)
            response = await self._ask(connection, self.result.lost)
            self.result.answered += response is not None
            if response is None or response.closes:
                self.result.told += connection is first and response is not None
                connection = await self._elsewhere(connection)
        self.result.left_open += connection is first
        connection.close()

    async def _is_asked_for(self) -> bool:
        """True when the next request is due; False when all is over."""
        if self._pressure.per_second is not None:
            await self._due.get()
        return not self._is_over

    async def _elsewhere(self, connection: Connection) -> Connection:
        connection.close()
        return await connect(self._other_port)

    async def _ask(self, connection: Connection, lost: Counter[str]) -> Response | None:
        """None for what got no answer; that is counted, and so are other answers than 200."""
        try:
            await connection.send(self._request)
            response = await connection.response(patience=PATIENCE_SECONDS)
        except NoResponse as broken:
            lost[str(broken)] += 1
            return None
        if response.status != 200:
            lost[str(response.status)] += 1
        return response

    async def _open(self) -> None:
        """Connections for one request each, one after the other."""
        while not self._is_over:
            self.result.new += 1
            connection = await self._new_connection()
            if connection is not None:
                await self._ask(connection, self.result.new_lost)
                connection.close()
            await asyncio.sleep(self._pressure.opener_pause_seconds)

    async def _new_connection(self) -> Connection | None:
        try:
            return await connect(self._port_for_new_ones())
        except ConnectionRefusedError as refused:
            if self._signalled is not None and self._pressure.is_stubborn:
                return await connect(self._other_port)
            self.result.new_lost[type(refused).__name__] += 1
        except OSError as error:
            self.result.new_lost[type(error).__name__] += 1
        return None

    def _port_for_new_ones(self) -> int:
        if self._pressure.is_stubborn or self._signalled is None:
            return self._port
        has_heard = perf_counter() > self._signalled + PROPAGATION_SECONDS
        return self._other_port if has_heard else self._port


def wait_for_end(pid: int, since: float) -> float | None:
    """Seconds from the signal to the process' end; None when it is still there after the grace period."""
    while perf_counter() - since < GRACE_SECONDS:
        if has_ended(pid):
            return perf_counter() - since
        sleep(0.02)
    return None
