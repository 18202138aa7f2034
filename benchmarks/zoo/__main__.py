"""Serves every model of the zoo, asks it by every door, and holds the answers against the runtime's own."""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

from benchmarks.errors import BenchmarkError
from benchmarks.markdown import table
from benchmarks.programs import free_ports
from benchmarks.zoo import environment, trial

START_SECONDS = 60.0
EXACT = "exact"


@dataclass
class Verdict:
    """Of one model. `seconds` until it was ready; `faults` by door."""

    model: str
    seconds: float = 0.0
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
        models = [*environment.default_exports(), *models]
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
        with _served(model) as ports:
            verdict.seconds = monotonic() - began
            verdict.asked = bool(found)
            _ask(verdict, found, *ports)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other models are tried
        verdict.faults.append(" ".join(str(error).split())[:300])
    return verdict


def _ask(verdict: Verdict, found: list[trial.Case], port: int, grpc_port: int) -> None:
    doors = trial.doors(port, grpc_port, "zoo")
    for door in doors:
        verdict.faults += [f"{door.name}: {fault}" for fault in trial.differences(door, found)]
    for door in doors[1:3]:
        verdict.faults += [f"{door.name}, 8 at once: {fault}" for fault in trial.differences_at_once(door, found)]
    if why := trial.example_fails(port):
        verdict.faults.append(f"the page's example: {why}")


@contextmanager
def _served(model: Path) -> Iterator[tuple[int, int]]:
    """Ports for HTTP and gRPC of the product with no other settings. Raises BenchmarkError when it doesn't start."""
    port, grpc_port, admin_port = free_ports(3)
    command = [sys.executable, "-m", "tidegate_server", "serve", "--model", str(model), "--name", "zoo"]
    command += ["--port", str(port), "--grpc-port", str(grpc_port), "--admin-port", str(admin_port)]
    settings = {"TIDEGATE_DRAIN_SECONDS": "0", "TIDEGATE_MAX_BODY_BYTES": str(2**26)}
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen([*command, "--host", "127.0.0.1"], env={**os.environ, **settings}, stderr=log)
        try:
            deadline = monotonic() + START_SECONDS
            while not _is_ready(port):
                if server.poll() is not None or monotonic() > deadline:
                    log.seek(0)
                    raise BenchmarkError(f"doesn't start: {log.read().decode(errors='replace')[-250:]}")
                sleep(0.05)
            yield port, grpc_port
        finally:
            server.kill()
            server.wait()


def _is_ready(port: int) -> bool:
    try:
        trial.get(port, "/v2/health/ready")
    except (OSError, ValueError):
        return False
    return True


def _report(verdicts: list[Verdict], missing: list[str]) -> str:
    rows = [[one.model, f"{one.seconds:.1f} s", one.words] for one in verdicts]
    exact = sum(one.words == EXACT for one in verdicts)
    lines = [
        table([("model", "ready after", "answers"), *rows]),
        "",
        f"{exact} of {len(verdicts)} exact by every door.",
    ]
    return "\n".join([*lines, *(f"Not tried: {line}" for line in missing)]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
