"""Serves every model of the zoo in a GiB of memory, asks it by every door, and holds the answers against the runtime's.

The limit needs root and a cgroup; without them the models are served all the same, and what they take isn't told.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from benchmarks.errors import BenchmarkError
from benchmarks.markdown import table
from benchmarks.memory_cgroup import MemoryCgroup, memory_cgroup
from benchmarks.processes import cpu_seconds
from benchmarks.server.server_process import ServerProcess
from benchmarks.server_trials.server_under_test import start_tidegate
from benchmarks.zoo import environment, sentences, trial

SETTINGS = {"TIDEGATE_DRAIN_SECONDS": "0", "TIDEGATE_MAX_BODY_BYTES": str(2**26)}
EXACT = "exact"
MEMORY_LIMIT = 2**30
LONGEST_START_SECONDS, MOST_START_BYTES = 10.0, MEMORY_LIMIT // 2


@dataclass
class Verdict:
    """Of one model. `seconds`, `cpu_seconds` and bytes until it was ready; 0 bytes where nobody counts them.

    `faults` by door.
    """

    model: str
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    bytes: int = 0
    asked: bool = False
    faults: list[str] = field(default_factory=list)

    @property
    def words(self) -> str:
        """What it came to."""
        if not self.faults:
            return EXACT if self.asked else "starts, and takes nothing that is made up here"
        return self.faults[0] + (f", and {len(self.faults) - 1} more" if self.faults[1:] else "")


def main() -> int:
    """The exit code: 0 when every model that could be asked answered exactly; 2 where there is no zoo."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoo", description=__doc__)
    parser.add_argument("--only", default="", help="models whose path has this in it")
    options = parser.parse_args()
    try:
        environment.provide_locale()
        models, missing = environment.packaged_models()
        models = [*environment.default_exports(), *models, sentences.sentence_encoder()]
    except BenchmarkError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    verdicts = [_tried(model) for model in models if options.only in str(model)]
    sys.stdout.write(_report(verdicts, missing))
    return 1 if any(verdict.faults for verdict in verdicts) else 0


def _tried(model: Path) -> Verdict:
    verdict = Verdict(str(model.relative_to(environment.cache())))
    sys.stderr.write(f"{verdict.model}\n")
    try:
        found = trial.cases(model)
        began = monotonic()
        with _limit() as cgroup, start_tidegate(model, SETTINGS, cgroup) as server:
            verdict.seconds, verdict.cpu_seconds = monotonic() - began, cpu_seconds(server.pid)
            verdict.bytes = 0 if cgroup is None else cgroup.peak_bytes()
            verdict.asked = bool(found)
            verdict.faults += _start_faults(verdict)
            _ask(verdict, found, server)
            if model.with_name(sentences.MODULES).is_file():
                verdict.faults += sentences.faults(model, server.port)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other models are tried
        verdict.faults.append(" ".join(str(error).split())[:300])
    return verdict


def _limit() -> AbstractContextManager[MemoryCgroup | None]:
    return memory_cgroup(MEMORY_LIMIT) if os.geteuid() == 0 else nullcontext()


def _start_faults(verdict: Verdict) -> Iterator[str]:
    # What it waits for while others have the CPU isn't its own.
    if (seconds := min(verdict.seconds, verdict.cpu_seconds)) > LONGEST_START_SECONDS:
        yield f"ready after {seconds:.1f} s, more than {LONGEST_START_SECONDS:g} s"
    if verdict.bytes > MOST_START_BYTES:
        yield f"took {verdict.bytes >> 20} MiB until it was ready, more than half of {MEMORY_LIMIT >> 20} MiB"


def _ask(verdict: Verdict, found: list[trial.Case], server: ServerProcess) -> None:
    doors = trial.doors(server.port, server.grpc_port, server.context.name)
    for door in doors:
        verdict.faults += [f"{door.name}: {fault}" for fault in trial.differences(door, found)]
    for door in doors[1:3]:
        verdict.faults += [f"{door.name}, 8 at once: {fault}" for fault in trial.differences_at_once(door, found)]
    if why := trial.example_fails(server.port):
        verdict.faults.append(f"the page's example: {why}")


def _report(verdicts: list[Verdict], missing: list[str]) -> str:
    rows = [
        [one.model, f"{one.seconds:.1f}", f"{one.cpu_seconds:.1f}", f"{one.bytes >> 20}", one.words] for one in verdicts
    ]
    exact = sum(one.words == EXACT for one in verdicts)
    lines = [
        table([("model", "ready after, s", "CPU until then, s", "memory until then, MiB", "answers"), *rows]),
        "",
        f"{exact} of {len(verdicts)} exact by every door.",
    ]
    return "\n".join([*lines, *(f"Not tried: {line}" for line in missing)]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
