"""One whole run: install the fronts, measure their speed, test their facts, and end them under load."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.http_servers.probes import Probing
from benchmarks.http_servers.results import Results, Row, Speed
from benchmarks.http_servers.setups import PACKAGES, Front, fronts_of, handler_alone, our_fronts
from benchmarks.http_servers.side_by_side import MODEL, Case, make_case, together
from benchmarks.http_servers.speed import Turn, best_of, without_front
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
        self._of.setdefault(label, {})[why] = None

    def of(self, label: str) -> str:
        return "; ".join(self._of.get(label, ()))


def run(parts: Sequence[str], effort: Effort) -> Results:
    """Takes minutes. Raises BenchmarkError when nothing can be measured at all."""
    program, progress, notes = wrk.find_wrk(), Progress(planned=0), Notes()
    packages = [package for package in PACKAGES if package.package in parts]
    programs, missing = install_all(packages, progress)
    fronts = [front for package, folder in programs.items() for front in fronts_of(package, folder)]
    fronts += our_fronts() if TIDEGATE in parts else []
    probed = [front for front in fronts if front.probed]
    progress.planned = effort.rounds * (1 + len(fronts) + len(probed)) + 3
    case = make_case(cache() / "models")
    speeds, spread = _speeds(program, fronts, case, effort, progress, notes)
    probing = Probing(case, progress, effort.idle_seconds, notes.add)
    facts, endings = probing.facts(probed), probing.endings(probed, effort.rounds)
    rows = [
        Row(
            front.label,
            front.idle_setting,
            speeds.get(front.label),
            facts.get(front.label),
            endings.get(front.label),
            notes.of(front.label),
        )
        for front in fronts
    ]
    alone = Row(ALONE, "", speeds[ALONE])
    absent = [Row(package.name, package.idle_setting, note=why) for package, why in missing.items()]
    return Results((alone, *rows, *absent), machine_facts(program, packages), spread)


def _speeds(
    program: str, fronts: Sequence[Front], case: Case, effort: Effort, progress: Progress, notes: Notes
) -> tuple[dict[str, Speed], float]:
    """By label; and how far the rounds of the handler alone lie apart."""
    progress.note("all fronts start")
    with together(fronts, case) as servers, TemporaryDirectory(prefix="tidegate-bench-") as folder:
        body, script = _files(Path(folder), case)
        alone: list[Speed] = []
        turns = _turns(fronts, servers, case, notes)
        for number in range(effort.rounds):
            progress.step(f"{ALONE}, round {number + 1} of {effort.rounds}")
            alone.append(without_front(handler_alone(MODEL.name, case.file, body, effort.seconds / 3)))
            for turn in (turn for turn in turns if not turn.broke):
                progress.step(f"{turn.label}: speed, round {number + 1} of {effort.rounds}")
                turn.take(program, script, effort.seconds)
    for turn in turns:
        for why in turn.broke:
            notes.add(turn.label, why)
    found = {turn.label: speed for turn in turns if (speed := turn.speed()) is not None}
    return {ALONE: best_of(alone), **found}, spread_of([run.per_second for run in alone])


def _turns(fronts: Sequence[Front], servers: Sequence[ServerProcess | str], case: Case, notes: Notes) -> list[Turn]:
    turns = []
    for front, server in zip(fronts, servers, strict=True):
        if isinstance(server, str):
            notes.add(front.label, server)
        else:
            turns.append(Turn(front.label, server, case.question))
    return turns


def _files(folder: Path, case: Case) -> tuple[Path, Path]:
    """The body that is sent, and wrk's script that sends it."""
    body, script = folder / "body", folder / "wrk.lua"
    body.write_bytes(case.question.body)
    script.write_text(wrk.script(body, case.question.headers))
    return body, script
