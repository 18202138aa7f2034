"""The measuring itself: every server that takes part in turn, round after round, so that a noisy minute hits all."""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.progress import Progress
from benchmarks.server import raw, wrk
from benchmarks.server.instant import answering_at_once
from benchmarks.server.models import BenchModel
from benchmarks.server.paced_load import drive_at_rate
from benchmarks.server.protocols import InferenceRequest, Prediction, Protocol
from benchmarks.server.raw import RawSetting
from benchmarks.server.results import Load, RawRow, Row, spread_of
from benchmarks.server.runtime import predictions_of
from benchmarks.server.server_process import ServerProcess, objection, start_server, wait_until_it_answers
from benchmarks.server.setups import ServerSetup
from benchmarks.server.text_model import TextModel

WARM_UP_SECONDS, FLOOR_SECONDS = 1.0, 1.0
INSTANT_BODY = b"{}".ljust(400)
"""About as long as the answers of the small models."""
SHARE_OF_SATURATION = 0.7


@dataclass(frozen=True)
class Effort:
    """How long each measurement takes and how often it is repeated.

    `trials`: the peers' settings are tried first. `paced`: a measurement at a fixed rate follows.
    """

    seconds: float
    rounds: int
    trials: bool = True
    paced: bool = True


@dataclass(frozen=True)
class Bench:
    """A model, its file, and what it is measured with."""

    model: BenchModel | TextModel
    file: Path
    wrk: str
    effort: Effort
    progress: Progress

    def expected(self) -> list[Prediction]:
        """What the bare runtime answers to each question."""
        return predictions_of(self.model, self.file)

    def requests(self, protocol: Protocol) -> list[InferenceRequest]:
        """The model's questions as this protocol asks them; all to one path, under the same headers."""
        return [protocol.ask(self.model.name, question) for question in self.model.questions()]


@dataclass(frozen=True)
class Measured:
    """One server and protocol that answered rightly, and what was seen of it so far. `broke` says what ended that.

    `floor` is what wrk saw, in the same rounds, of a program that answers at once.
    """

    server: ServerProcess
    protocol: Protocol
    requests: list[InferenceRequest]
    script: Path
    seen: list[Load] = field(default_factory=list)
    floor: list[Load] = field(default_factory=list)
    broke: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.server.setup}, {self.protocol.name}"

    @property
    def path(self) -> str:
        """Where it is asked."""
        return self.requests[0].path

    def take_turn(self, program: str, seconds: float) -> None:
        """A server that is gone keeps its row, with the reason; the others go on."""
        url = self.server.url + self.path
        try:
            wrk.drive(program, url, self.script, WARM_UP_SECONDS)
            self.seen.append(wrk.drive(program, url, self.script, seconds))
        except BenchmarkError as error:
            self.broke.append(f"broke down under load ({error}); its last words: {self.server.last_log_line()}")


def choose(bench: Bench, settings: Sequence[ServerSetup]) -> tuple[ServerSetup, list[Row]]:
    """The fastest of one server's settings in its first protocol, and a row for each that was tried.

    Without trials it is the first setting, the one to guess.
    """
    if not bench.effort.trials:
        return settings[0], []
    quick = replace(bench, effort=Effort(seconds=2.0, rounds=1, trials=False, paced=False))
    tried: list[Row] = []
    for setting in settings:
        protocol = setting.protocols[0]
        tried += measure(quick, [replace(setting, protocols=(protocol,))])[1]
    best = max(range(len(settings)), key=lambda index: tried[index].per_second)
    return settings[best], tried


def measure(
    bench: Bench, setups: Sequence[ServerSetup], raw_settings: Sequence[RawSetting] = ()
) -> tuple[list[RawRow], list[Row]]:
    """One row per setting of the bare runtime, and one per setup and protocol, or one that says why there is none.

    Raises BenchmarkError when the bare runtime fails: without it no figure means anything.
    """
    bare: dict[RawSetting, list[Load]] = {setting: [] for setting in raw_settings}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-bench-")))
        instant = stack.enter_context(answering_at_once(INSTANT_BODY))
        outcomes = [outcome for setup in setups for outcome in _start(bench, setup, stack, folder)]
        servers = [outcome for outcome in outcomes if isinstance(outcome, Measured)]
        # One protocol after the other, so that an earlier commit's server has its turn right beside this one's.
        protocols = [measured.protocol.name for measured in servers]
        servers.sort(key=lambda measured: protocols.index(measured.protocol.name))
        for number in range(bench.effort.rounds):
            turns = servers if number % 2 == 0 else servers[::-1]
            _one_round(bench, bare, turns, instant, f"round {number + 1} of {bench.effort.rounds}")
        rows = [_row(bench, outcome, instant) if isinstance(outcome, Measured) else outcome for outcome in outcomes]
    return [_raw_row(bench.model.size, setting, runs) for setting, runs in bare.items()], rows


def _one_round(
    bench: Bench, bare: dict[RawSetting, list[Load]], servers: Sequence[Measured], instant: int, which: str
) -> None:
    size = bench.model.size
    for setting, runs in bare.items():
        bench.progress.step(f"{size}: session.run alone, {setting}, {which}")
        runs.append(raw.measure(bench.file, size, setting, max(1.0, bench.effort.seconds / 3)))
    for measured in (measured for measured in servers if not measured.broke):
        bench.progress.step(f"{size}: {measured}, {which}")
        measured.take_turn(bench.wrk, bench.effort.seconds)
        url = f"http://127.0.0.1:{instant}{measured.path}"
        measured.floor.append(wrk.drive(bench.wrk, url, measured.script, FLOOR_SECONDS))


def _start(bench: Bench, setup: ServerSetup, stack: ExitStack, folder: Path) -> list[Measured | Row]:
    """Starts the server; it stays up, idle between its turns."""
    try:
        server = stack.enter_context(start_server(setup, bench.model.name, bench.file))
        wait_until_it_answers(server, bench.requests(setup.protocols[0])[0])
    except BenchmarkError as error:
        return [
            Row.without(bench.model.size, setup.server, setup.setting, protocol.name, str(error))
            for protocol in setup.protocols
        ]
    expected = bench.expected()
    return [_measured(bench, server, protocol, expected, folder) for protocol in setup.protocols]


def _measured(
    bench: Bench, server: ServerProcess, protocol: Protocol, expected: Sequence[Prediction], folder: Path
) -> Measured | Row:
    requests = bench.requests(protocol)
    for request, answer in zip(requests, expected, strict=True):
        if why := objection(server, protocol, request, answer):
            return Row.without(bench.model.size, server.setup.server, server.setup.setting, protocol.name, why)
    stem = f"{server.port}-{protocol.name.strip('/')}"
    bodies = [folder / f"{stem}-{number}.body" for number in range(len(requests))]
    for body, request in zip(bodies, requests, strict=True):
        body.write_bytes(request.body)
    script = folder / f"{stem}.lua"
    script.write_text(wrk.script(bodies, requests[0].headers))
    return Measured(server, protocol, requests, script)


def _row(bench: Bench, measured: Measured, instant: int) -> Row:
    setup = measured.server.setup
    if measured.broke:
        return Row.without(bench.model.size, setup.server, setup.setting, measured.protocol.name, measured.broke[0])
    load = Load.median_of(measured.seen)
    paced, floor = _paced(bench, measured, load.per_second, instant) if bench.effort.paced else (None, None)
    return Row(
        bench.model.size,
        setup.server,
        setup.setting,
        measured.protocol.name,
        load.per_second,
        load.p50_ms,
        load.p99_ms,
        load.failed,
        paced=paced,
        rounds=tuple(one.per_second for one in measured.seen),
        floor_ms=Load.median_of(measured.floor).p99_ms,
        paced_floor_ms=floor.p99_ms if floor else 0.0,
    )


def _paced(bench: Bench, measured: Measured, saturation: float, instant: int) -> tuple[Load | None, Load | None]:
    """The server at a fixed rate, and in turn with it a program that answers at once."""
    if saturation == 0:
        return None, None
    rate = saturation * SHARE_OF_SATURATION
    bench.progress.step(f"{bench.model.size}: {measured}, {rate:,.0f} requests/s")
    seconds = bench.effort.seconds / 2
    served, instantly = [], []
    try:
        for _ in range(bench.effort.rounds):
            served.append(drive_at_rate(measured.server.port, measured.requests, rate, seconds))
            instantly.append(drive_at_rate(instant, measured.requests, rate, seconds))
    except OSError as error:
        bench.progress.note(f"{measured} can't be asked at a fixed rate: {error}")
        return None, None
    return Load.median_of(served), Load.median_of(instantly)


def _raw_row(size: str, setting: RawSetting, runs: Sequence[Load]) -> RawRow:
    load = Load.median_of(runs)
    return RawRow(
        size,
        str(setting),
        load.per_second,
        load.p50_ms,
        load.p99_ms,
        cores=setting.threads * setting.intra,
        rows=setting.rows,
        spread=spread_of([run.per_second for run in runs]),
    )
