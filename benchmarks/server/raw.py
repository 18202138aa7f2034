"""The limit: `session.run` in a loop, without a server. A process of its own, so that nothing shares its interpreter.

    python -m benchmarks.server.raw model.onnx --size S --threads 2 --intra 1 --rows 1 --seconds 3

prints one line of JSON: rows per second of all threads together, and the median and p99 of a run in milliseconds.
"""

import argparse
import json
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.errors import BenchmarkError
from benchmarks.server.models import INPUT, MODELS
from benchmarks.server.results import Load
from benchmarks.server.runtime import open_session


@dataclass(frozen=True)
class RawSetting:
    """So many Python threads call `run`, each run with so many threads of the runtime, on so many rows."""

    threads: int
    intra: int
    rows: int = 1

    def __str__(self) -> str:
        rows = "" if self.rows == 1 else f", {self.rows} rows a run"
        return f"{self.threads} × run, {self.intra} core{'' if self.intra == 1 else 's'} each{rows}"


TWO_THREADS = RawSetting(threads=2, intra=1)
ALONE = RawSetting(threads=1, intra=1)
SETTINGS = (TWO_THREADS, RawSetting(threads=1, intra=2), ALONE, RawSetting(threads=2, intra=1, rows=8))


def measure(path: Path, size: str, setting: RawSetting, seconds: float) -> Load:
    """Runs this module in a fresh interpreter. Raises BenchmarkError."""
    given = {"size": size, "threads": setting.threads, "intra": setting.intra, "rows": setting.rows, "seconds": seconds}
    options = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.server.raw", str(path), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BenchmarkError(f"the bare runtime failed on {path.name}: {done.stderr.strip()[-300:]}")
    return Load(**json.loads(done.stdout))


def main() -> None:
    """Prints what one setting of the bare runtime reaches."""
    parser = argparse.ArgumentParser(description="How fast the bare runtime is.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--size", choices=sorted(MODELS), required=True)
    for name in ("threads", "intra", "rows"):
        parser.add_argument(f"--{name}", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3)
    options = parser.parse_args()
    session = open_session(options.path, options.intra)
    feed = {INPUT: np.repeat(MODELS[options.size].row_of_input(), options.rows, axis=0)}
    _loop(session, feed, 1, min(0.5, options.seconds))
    times, elapsed = _loop(session, feed, options.threads, options.seconds)
    cuts = quantiles(times, n=100) if len(times) > 1 else [times[0]] * 99
    seen = Load(len(times) * options.rows / elapsed, median(times) * 1e3, cuts[98] * 1e3)
    sys.stdout.write(json.dumps(asdict(seen)) + "\n")


def _loop(session: Any, feed: dict[str, Any], threads: int, seconds: float) -> tuple[list[float], float]:
    """Every run's seconds, and how long all of them took together."""
    times: list[list[float]] = [[] for _ in range(threads)]
    began = perf_counter()

    def work(mine: list[float]) -> None:
        before = perf_counter()
        while before < began + seconds:
            session.run(None, feed)
            after = perf_counter()
            mine.append(after - before)
            before = after

    workers = [threading.Thread(target=work, args=(mine,)) for mine in times]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [one for mine in times for one in mine], perf_counter() - began


if __name__ == "__main__":
    main()
