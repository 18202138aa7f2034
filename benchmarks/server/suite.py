"""One whole run of the benchmark: install the peers, then model after model, then everything in one value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.baseline import Baseline
from benchmarks.progress import Progress
from benchmarks.server import raw
from benchmarks.server.machine import facts
from benchmarks.server.models import MODELS, BenchModel
from benchmarks.server.peers import PEERS, Peer, cache, install_all
from benchmarks.server.protocols import BINARY, JSON, PREDICT, TEXT
from benchmarks.server.raw import RawSetting
from benchmarks.server.results import RawRow, Results, Row
from benchmarks.server.rounds import Bench, Effort, choose, measure
from benchmarks.server.setups import ServerSetup, baseline_setup, tidegate_setup
from benchmarks.server.text_model import TEXT_MODEL, TextModel
from benchmarks.server.wrk import find_wrk

RAW, OURS = "raw", "ours"
PARTS = (RAW, OURS, *(peer.package for peer in PEERS))
ALL_MODELS: Mapping[str, BenchModel | TextModel] = {**MODELS, TEXT_MODEL.size: TEXT_MODEL}


@dataclass(frozen=True)
class Plan:
    """What is to be measured: parts and models by name, how thoroughly, and an earlier commit's server too."""

    parts: tuple[str, ...]
    sizes: tuple[str, ...]
    effort: Effort
    baseline: Baseline | None = None

    @property
    def peers(self) -> list[Peer]:
        """Those that take part."""
        return [peer for peer in PEERS if peer.package in self.parts]

    def tidegates(self, size: str) -> list[ServerSetup]:
        """This server, and the earlier commit's right after it."""
        protocols = (TEXT,) if size == TEXT_MODEL.size else (JSON, BINARY, PREDICT)
        ours = [tidegate_setup(protocols=protocols)] if OURS in self.parts else []
        return ours + ([baseline_setup(self.baseline, protocols)] if self.baseline else [])

    def raw_settings(self, size: str) -> Sequence[RawSetting]:
        """None for texts: there is no run of the runtime alone that has a text in it."""
        return raw.SETTINGS if RAW in self.parts and size in MODELS else ()

    def steps(self, settings: Sequence[Sequence[ServerSetup]]) -> int:
        """How many measurements that makes when every server starts."""
        return sum(self._steps(size, settings if size in MODELS else ()) for size in self.sizes)

    def _steps(self, size: str, settings: Sequence[Sequence[ServerSetup]]) -> int:
        of_raw = len(self.raw_settings(size)) * self.effort.rounds
        trials = sum(len(of_peer) for of_peer in settings) if self.effort.trials else 0
        first = [*(of_peer[0] for of_peer in settings), *self.tidegates(size)]
        turns = sum(len(setup.protocols) for setup in first) * (self.effort.rounds + int(self.effort.paced))
        return of_raw + trials + turns


def run(plan: Plan) -> Results:
    """Takes minutes. Raises BenchmarkError when nothing can be measured at all."""
    wrk = find_wrk()
    progress = Progress(planned=0)
    programs, missing = install_all(plan.peers, progress)
    settings = {peer: peer.settings(peer, folder) for peer, folder in programs.items()}
    progress.planned = plan.steps(list(settings.values()))
    found = Results((), (), (), facts(wrk, plan.peers))
    for size in plan.sizes:
        model = ALL_MODELS[size]
        bench = Bench(model, model.write(cache() / "models"), wrk, plan.effort, progress)
        found = _joined(found, *_one_model(plan, bench, settings if size in MODELS else {}))
    sizes = [size for size in plan.sizes if size in MODELS]
    absent = tuple(Row.without(size, peer.name, "", "", why) for peer, why in missing.items() for size in sizes)
    return replace(found, rows=found.rows + absent)


def _one_model(
    plan: Plan, bench: Bench, settings: dict[Peer, list[ServerSetup]]
) -> tuple[list[RawRow], list[Row], list[Row]]:
    setups = plan.tidegates(bench.model.size)
    tried: list[Row] = []
    for of_peer in settings.values():
        best, trials = choose(bench, of_peer)
        setups.append(best)
        tried += trials
    return *measure(bench, setups, plan.raw_settings(bench.model.size)), tried


def _joined(so_far: Results, raw_rows: list[RawRow], rows: list[Row], tried: list[Row]) -> Results:
    return replace(
        so_far, raw=so_far.raw + tuple(raw_rows), rows=so_far.rows + tuple(rows), tried=so_far.tried + tuple(tried)
    )
