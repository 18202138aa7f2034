"""Serves every model of the zoo, asks it by every door, and holds the answers against the runtime's own."""

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from benchmarks.errors import BenchmarkError
from benchmarks.markdown import table
from benchmarks.server.server_process import ServerProcess
from benchmarks.server_trials.server_under_test import start_tidegate
from benchmarks.zoo import environment, trial

SETTINGS = {"TIDEGATE_DRAIN_SECONDS": "0", "TIDEGATE_MAX_BODY_BYTES": str(2**26)}
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
        with start_tidegate(model, SETTINGS) as server:
            verdict.seconds = monotonic() - began
            verdict.asked = bool(found)
            _ask(verdict, found, server)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other models are tried
        verdict.faults.append(" ".join(str(error).split())[:300])
    return verdict


def _ask(verdict: Verdict, found: list[trial.Case], server: ServerProcess) -> None:
    doors = trial.doors(server.port, server.grpc_port, server.context.name)
    for door in doors:
        verdict.faults += [f"{door.name}: {fault}" for fault in trial.differences(door, found)]
    for door in doors[1:3]:
        verdict.faults += [f"{door.name}, 8 at once: {fault}" for fault in trial.differences_at_once(door, found)]
    if why := trial.example_fails(server.port):
        verdict.faults.append(f"the page's example: {why}")


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
