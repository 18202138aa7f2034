"""One whole run: install the HTTP servers, measure their speed, test their facts, and end them under load."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.http_servers.probes import Probes
from benchmarks.http_servers.results import Results, Row, Speed
from benchmarks.http_servers.setups import (
    PACKAGES,
    ComparedServer,
    compared_servers_of,
    handler_alone,
    tidegate_servers,
)
from benchmarks.http_servers.side_by_side import MODEL, Case, make_case, side_by_side
from benchmarks.http_servers.speed import SpeedMeasurement, best_of, without_server
from benchmarks.progress import Progress
from benchmarks.server import wrk
from benchmarks.server.machine import facts as machine_facts
from benchmarks.server.peers import cache, install_all
from benchmarks.server.results import spread_of
from benchmarks.server.server_process import ServerProcess
from benchmarks.server.setups import TIDEGATE

ALONE = "the handler alone, no front"
PARTS = (*(package.package for package in PACKAGES), TIDEGATE)


@dataclass(frozen=True)
class Effort:
    """`seconds` of one measurement at saturation, `rounds` of each; idle connections are watched for `idle_seconds`."""

    seconds: float
    rounds: int
    idle_seconds: float


class Notes:
    """By label, why something is missing; each reason once."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, None]] = {}

    def add(self, label: str, why: str) -> None:
        """Says once why something of this row is missing."""
        self._of.setdefault(label, {})[why] = None

    def of(self, label: str) -> str:
        """All that was said of this row."""
        return "; ".join(self._of.get(label, ()))


def run(parts: Sequence[str], effort: Effort) -> Results:
    """Takes minutes. Raises BenchmarkError when nothing can be measured at all."""
    program, progress, notes = wrk.find_wrk(), Progress(planned=0), Notes()
    packages = [package for package in PACKAGES if package.package in parts]
    programs, missing = install_all(packages, progress)
    all_compared = [
        compared for package, folder in programs.items() for compared in compared_servers_of(package, folder)
    ]
    all_compared += tidegate_servers() if TIDEGATE in parts else []
    probed = [compared for compared in all_compared if compared.probed]
    progress.planned = effort.rounds * (1 + len(all_compared) + len(probed)) + 3
    case = make_case(cache() / "models")
    speeds, spread = _speeds(program, all_compared, case, effort, progress, notes)
    probes = Probes(case, progress, effort.idle_seconds, notes.add)
    facts, endings = probes.facts(probed), probes.endings(probed, effort.rounds)
    rows = [
        Row(
            compared.label,
            compared.idle_setting,
            speeds.get(compared.label),
            facts.get(compared.label),
            endings.get(compared.label),
            notes.of(compared.label),
        )
        for compared in all_compared
    ]
    alone = Row(ALONE, "", speeds[ALONE])
    absent = [Row(package.name, package.idle_setting, note=why) for package, why in missing.items()]
    return Results((alone, *rows, *absent), machine_facts(program, packages), spread)


def _speeds(
    program: str, all_compared: Sequence[ComparedServer], case: Case, effort: Effort, progress: Progress, notes: Notes
) -> tuple[dict[str, Speed], float]:
    """By label; and how far the rounds of the handler alone lie apart."""
    progress.note("all servers start")
    with side_by_side(all_compared, case) as servers, TemporaryDirectory(prefix="tidegate-bench-") as folder:
        body, script = _files(Path(folder), case)
        alone: list[Speed] = []
        measurements = _measurements(all_compared, servers, case, notes)
        for number in range(effort.rounds):
            progress.step(f"{ALONE}, round {number + 1} of {effort.rounds}")
            alone.append(without_server(handler_alone(MODEL.name, case.file, body, effort.seconds / 3)))
            for measurement in (measurement for measurement in measurements if not measurement.broke):
                progress.step(f"{measurement.label}: speed, round {number + 1} of {effort.rounds}")
                measurement.take(program, script, effort.seconds)
    for measurement in measurements:
        for why in measurement.broke:
            notes.add(measurement.label, why)
    found = {measurement.label: speed for measurement in measurements if (speed := measurement.speed()) is not None}
    return {ALONE: best_of(alone), **found}, spread_of([run.per_second for run in alone])


def _measurements(
    all_compared: Sequence[ComparedServer], servers: Sequence[ServerProcess | str], case: Case, notes: Notes
) -> list[SpeedMeasurement]:
    measurements = []
    for compared, server in zip(all_compared, servers, strict=True):
        if isinstance(server, str):
            notes.add(compared.label, server)
        else:
            measurements.append(SpeedMeasurement(compared.label, server, case.request))
    return measurements


def _files(folder: Path, case: Case) -> tuple[Path, Path]:
    """The body that is sent, and wrk's script that sends it."""
    body, script = folder / "body", folder / "wrk.lua"
    body.write_bytes(case.request.body)
    script.write_text(wrk.script([body], case.request.headers))
    return body, script
