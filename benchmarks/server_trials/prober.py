"""Probes a server from a process of its own until its input ends, and tells what each probe waited for.

A machine that others use keeps every process waiting for a CPU, and the kernel counts how long. What a probe waited for
beyond that is the server's own doing.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Event, Thread
from time import perf_counter, sleep

from benchmarks.errors import BenchmarkError
from benchmarks.http_client import HOST

EVERY_SECONDS = 0.02
PATIENCE_SECONDS = 30.0


@dataclass
class Probes:
    """In seconds, of each probe: until its answer, and how much of that the machine took.

    That is the longest that one thread of the server, or this process, was ready to run and waited for a CPU.
    """

    waits: list[float] = field(default_factory=list)
    machine: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def own(self) -> list[float]:
        """What is left for the server itself."""
        return [max(0.0, wait - taken) for wait, taken in zip(self.waits, self.machine, strict=True)]


@contextmanager
def probing(port: int, pid: int) -> Iterator[Probes]:
    """Meanwhile the port is probed; `pid` is the server's. What it gives is filled when it ends."""
    command = [sys.executable, "-m", __name__, str(port), str(pid)]
    probes = Probes()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield probes
        told, _ = process.communicate(timeout=PATIENCE_SECONDS)
    if process.returncode:
        raise BenchmarkError(f"the prober ended with {process.returncode}")
    probes.__dict__.update(json.loads(told))


def main() -> None:
    """Arguments as `probing` gives them."""
    port, pid = map(int, sys.argv[1:])
    ended = Event()
    Thread(target=_wait_for_the_end, args=(ended,), daemon=True).start()
    probes = Probes()
    with closing(HTTPConnection(HOST, port, timeout=PATIENCE_SECONDS / 3)) as connection:
        while not ended.is_set() and not probes.wrong:
            _probe(connection, pid, probes)
            sleep(EVERY_SECONDS)
    print(json.dumps(asdict(probes)))  # noqa: T201 - this is its answer


def _wait_for_the_end(ended: Event) -> None:
    sys.stdin.read()
    ended.set()


def _probe(connection: HTTPConnection, pid: int, probes: Probes) -> None:
    before, began = _delays(pid), perf_counter()
    try:
        connection.request("GET", "/v2/health/live")
        response = connection.getresponse()
        response.read()
    except (OSError, HTTPException) as broken:
        probes.wrong.append(f"a probe: {type(broken).__name__}")
        return
    waited = perf_counter() - began
    after = _delays(pid)
    probes.waits.append(waited)
    probes.machine.append(max((after[thread] - before.get(thread, 0.0) for thread in after), default=0.0))
    if response.status != 200:
        probes.wrong.append(f"a probe got {response.status}")


def _delays(pid: int) -> dict[str, float]:
    """Seconds that each thread of the server, and of this process, has been ready and not run; none but on Linux."""
    delays = {}
    for process in (str(pid), "self"):
        for file in Path(f"/proc/{process}/task").glob("*/schedstat"):
            with suppress(OSError):  # the thread has ended
                delays[str(file)] = int(file.read_text(encoding="ascii").split()[1]) / 1e9
    return delays


if __name__ == "__main__":
    main()
