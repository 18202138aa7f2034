"""How fast each server is and what a request costs it: all are up, and take turns, so that a noisy minute hits all."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.errors import BenchmarkError
from benchmarks.http_servers.results import Speed
from benchmarks.processes import group_seconds
from benchmarks.server import wrk
from benchmarks.server.paced_load import drive_at_rate
from benchmarks.server.protocols import InferenceRequest
from benchmarks.server.results import Load
from benchmarks.server.rounds import SHARE_OF_SATURATION, WARM_UP_SECONDS
from benchmarks.server.server_process import ServerProcess
from benchmarks.server.setups import Launch, quiet_environment


@dataclass(frozen=True)
class SpeedMeasurement:
    """One server's measurements so far. `broke` says what ended them."""

    label: str
    server: ServerProcess
    request: InferenceRequest
    loads: list[Load] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    paced: list[Load] = field(default_factory=list)
    broke: list[str] = field(default_factory=list)

    def take(self, program: str, script: Path, seconds: float) -> None:
        """So long at saturation, then half of it below. A server that is gone keeps its row, with the reason."""
        self._saturate(program, script, seconds)
        if not self.broke:
            self._below_saturation(seconds / 2)

    def _saturate(self, program: str, script: Path, seconds: float) -> None:
        url = self.server.url + self.request.path
        try:
            wrk.drive(program, url, script, WARM_UP_SECONDS)
            cpu, began = group_seconds(self.server.pid), perf_counter()
            load = wrk.drive(program, url, script, seconds)
            cpu, took = group_seconds(self.server.pid) - cpu, perf_counter() - began
        except BenchmarkError as error:
            self.broke.append(f"broke down under load ({error}); its last words: {self.server.last_log_line()}")
            return
        self.loads.append(load)
        if load.per_second:
            self.cpu_us.append(cpu / (load.per_second * took) * 1e6)

    def _below_saturation(self, seconds: float) -> None:
        """At 70 % of what it has reached so far."""
        rate = SHARE_OF_SATURATION * median(load.per_second for load in self.loads)
        if rate == 0:
            return
        try:
            self.paced.append(drive_at_rate(self.server.port, [self.request], rate, seconds))
        except OSError as error:
            self.broke.append(f"can't be asked at a fixed rate: {error}")

    def speed(self) -> Speed | None:
        """Medians over the rounds; None without any."""
        if not self.loads:
            return None
        load = Load.median_of(self.loads)
        return Speed(
            load.per_second,
            median(self.cpu_us) if self.cpu_us else 0.0,
            load.p50_ms,
            load.p99_ms,
            load.failed,
            Load.median_of(self.paced) if self.paced else None,
        )


def without_server(launch: Launch) -> Speed:
    """Runs the program that calls the handler in a loop. Raises BenchmarkError."""
    environment = quiet_environment(launch.environment)
    done = subprocess.run(launch.command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchmarkError(f"the handler can't be run by itself: {done.stderr.strip()[-300:]}")
    return Speed(**json.loads(done.stdout), failed=0, paced=None)


def best_of(runs: Sequence[Speed]) -> Speed:
    """The fastest: a limit isn't lowered by what else the machine had to do."""
    return max(runs, key=lambda run: run.per_second)
