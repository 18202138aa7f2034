"""One whole run of the benchmark: install the peers, then model after model, then everything in one value."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.progress import Progress
from benchmarks.server import raw
from benchmarks.server.machine import facts
from benchmarks.server.models import MODELS
from benchmarks.server.peers import PEERS, Peer, cache, install_all
from benchmarks.server.results import RawRow, Results, Row
from benchmarks.server.rounds import Bench, Effort, choose, measure
from benchmarks.server.setups import ServerSetup, tidegate_setup
from benchmarks.server.wrk import find_wrk

RAW, OURS = "raw", "ours"
PARTS = (RAW, OURS, *(peer.package for peer in PEERS))


@dataclass(frozen=True)
class Plan:
    """What is to be measured: parts and models by name, and how thoroughly."""

    parts: tuple[str, ...]
    sizes: tuple[str, ...]
    effort: Effort

    @property
    def peers(self) -> list[Peer]:
        """Those that take part."""
        return [peer for peer in PEERS if peer.package in self.parts]

    def steps(self, settings: Sequence[Sequence[ServerSetup]]) -> int:
        """How many measurements that makes when every server starts."""
        of_raw = len(raw.SETTINGS) * self.effort.rounds if RAW in self.parts else 0
        trials = sum(len(of_peer) for of_peer in settings) if self.effort.trials else 0
        first = [of_peer[0] for of_peer in settings] + ([tidegate_setup()] if OURS in self.parts else [])
        turns = sum(len(setup.protocols) for setup in first) * (self.effort.rounds + int(self.effort.paced))
        return len(self.sizes) * (of_raw + trials + turns)


def run(plan: Plan) -> Results:
    """Takes minutes. Raises BenchmarkError when nothing can be measured at all."""
    wrk = find_wrk()
    progress = Progress(planned=0)
    programs, missing = install_all(plan.peers, progress)
    settings = {peer: peer.settings(peer, folder) for peer, folder in programs.items()}
    progress.planned = plan.steps(list(settings.values()))
    found = Results((), (), (), facts(wrk, plan.peers))
    for size in plan.sizes:
        file = MODELS[size].write(cache() / "models")
        bench = Bench(MODELS[size], file, wrk, plan.effort, progress)
        found = _joined(found, *_one_model(plan, bench, settings))
    absent = tuple(Row.without(size, peer.name, "", "", why) for peer, why in missing.items() for size in plan.sizes)
    return replace(found, rows=found.rows + absent)


def _one_model(
    plan: Plan, bench: Bench, settings: dict[Peer, list[ServerSetup]]
) -> tuple[list[RawRow], list[Row], list[Row]]:
    setups = [tidegate_setup()] if OURS in plan.parts else []
    tried: list[Row] = []
    for of_peer in settings.values():
        best, trials = choose(bench, of_peer)
        setups.append(best)
        tried += trials
    return *measure(bench, setups, raw.SETTINGS if RAW in plan.parts else ()), tried


def _joined(so_far: Results, raw_rows: list[RawRow], rows: list[Row], tried: list[Row]) -> Results:
    return replace(
        so_far, raw=so_far.raw + tuple(raw_rows), rows=so_far.rows + tuple(rows), tried=so_far.tried + tuple(tried)
    )
