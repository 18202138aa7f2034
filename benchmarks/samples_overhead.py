"""What samples of live requests, and asking them again, cost stable's users: a real server at a fixed rate.

Four ways take turns, in another order each round: a server that keeps none, another of the same kind (how far two equal
ones are apart on this machine), one that keeps samples, and that one while `tidegate compare --live` asks them again.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from statistics import median

from benchmarks.command import MISSED, SUCCEEDED, Report, add_output_options, positive, run_command
from benchmarks.errors import BenchmarkError
from benchmarks.markdown import in_ms, met, table
from benchmarks.processes import cpu_seconds
from benchmarks.programs import free_ports, running, wait_until
from benchmarks.report_page import DOCS, ReportSection
from benchmarks.server.paced_load import drive_at_rate
from benchmarks.server.protocols import InferenceRequest
from tidegate.model.units import format_percent
from tidegate.rehearsal.processes import get

SECTION = ReportSection("samples", DOCS / "agreement.md")
MODEL = DOCS.parent / "examples" / "sentiment" / "model"
KEY = "a key of this benchmark"
RATE = 200.0
ASKED_AGAIN = 10
KEPT = 500
MOST = 0.05
"""By how much the 99th percentile may grow."""
START_SECONDS, ANSWER_SECONDS = 300.0, 10.0
NONE, NONE_AGAIN, KEPT_ONLY, COMPARED = "no samples", "no samples, another server", "samples", "samples, asked again"
TEXTS = (
    "a quick and good film",
    "the battery never works",
    "bad service, slow again",
    "it always works, again and again",
)


@dataclass(frozen=True)
class Block:
    """Some seconds of one way. Milliseconds; `cpu` those of the server a request of a user's."""

    p50: float
    p99: float
    failed: int
    cpu: float


@dataclass(frozen=True)
class Served:
    """A model server."""

    pid: int
    port: int
    admin_port: int


def measure(options: argparse.Namespace) -> Report:
    """All rounds."""
    blocks: dict[str, list[Block]] = {NONE: [], NONE_AGAIN: [], KEPT_ONLY: [], COMPARED: []}
    random = Random(1)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-bench-")))
        (folder / "key").write_text(KEY)
        sampling = {"TIDEGATE_REQUEST_SAMPLES": str(KEPT), "TIDEGATE_REQUEST_SAMPLES_KEY_FILE": str(folder / "key")}
        start = [("none", {}), ("another", {}), ("kept", sampling), ("candidate", {})]
        none, another, kept, candidate = (stack.enter_context(serving(folder, *each)) for each in start)
        ways: Mapping[str, Callable[[], Block]] = {
            NONE: lambda: block(none, options.seconds),
            NONE_AGAIN: lambda: block(another, options.seconds),
            KEPT_ONLY: lambda: block(kept, options.seconds),
            COMPARED: lambda: compared(kept, candidate, options.seconds, folder),
        }
        for server in (none, another, kept):
            block(server, 2)  # warm
        for _ in range(options.rounds):
            for name in random.sample(list(ways), len(ways)):
                blocks[name].append(ways[name]())
    document = {name: [asdict(each) for each in found] for name, found in blocks.items()}
    failed = sum(each.failed for found in blocks.values() for each in found)
    is_met = outcome(blocks) == met(True)
    return Report(f"{text_of(blocks, options)}\n", document, SUCCEEDED if is_met and not failed else MISSED)


def outcome(blocks: Mapping[str, Sequence[Block]]) -> str:
    """What came of the goal, in a few words; two equal servers say how much these figures can tell."""
    apart = abs(growth(blocks[NONE_AGAIN], blocks[NONE], _p99))
    if apart > MOST:
        return f"not told, as two equal servers are {format_percent(apart)} apart"
    return met(growth(blocks[COMPARED], blocks[NONE], _p99) <= MOST)


def requests() -> Sequence[InferenceRequest]:
    """Users' texts, all marked as the router marks them."""
    headers = {"content-type": "application/json", "x-tidegate-traffic": "live"}
    return [
        InferenceRequest("/predict", b'{"text": "%b %d"}' % (text.encode(), n), headers)
        for n, text in enumerate(TEXTS * 16)
    ]


def block(server: Served, seconds: float) -> Block:
    """Users ask a server for that time."""
    before = cpu_seconds(server.pid)
    load = drive_at_rate(server.port, requests(), RATE, seconds)
    used = cpu_seconds(server.pid) - before
    return Block(load.p50_ms, load.p99_ms, load.failed, 1e3 * used / (RATE * seconds))


def compared(server: Served, candidate: Served, seconds: float, folder: Path) -> Block:
    """The same while what they have asked is asked again."""
    environment = {"TIDEGATE_SAMPLES_KEY": KEY, "TIDEGATE_SAMPLES_URL": f"http://127.0.0.1:{server.admin_port}"}
    urls = [f"http://127.0.0.1:{each.port}" for each in (server, candidate)]
    command = [sys.executable, "-m", "tidegate", "compare", *urls, "--live", "--rate", str(ASKED_AGAIN)]
    with running([*command, "--within", "10m"], folder, "compare", environment) as process:
        began = answered(candidate)
        wait_until(lambda: answered(candidate) > began, "live requests are asked again", START_SECONDS, process)
        found = block(server, seconds)
        if process.poll() not in (None, 0):
            raise BenchmarkError(f"tidegate compare has ended with {process.returncode}")
    return found


def answered(server: Served) -> float:
    """Requests that a server has answered so far."""
    if (exposition := get(server.admin_port, "/metrics", ANSWER_SECONDS)) is None:
        raise BenchmarkError(f"the server at port {server.admin_port} doesn't tell its metrics")
    lines = [line for line in exposition.splitlines() if line.startswith("tidegate_server_requests_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@contextmanager
def serving(folder: Path, name: str, environment: Mapping[str, str]) -> Iterator[Served]:
    """A model server of the sentiment model, ready."""
    port, admin_port, grpc_port = free_ports(3)
    ports = {"TIDEGATE_ADMIN_PORT": str(admin_port), "TIDEGATE_GRPC_PORT": str(grpc_port), "TIDEGATE_PROCESSES": "1"}
    command = [sys.executable, "-m", "tidegate_server", "serve", "--model", str(MODEL), "--host", "127.0.0.1"]
    given = {**ports, "TIDEGATE_REVISION": name, **environment}
    with running([*command, "--port", str(port)], folder, name, given) as process:
        server = Served(process.pid, port, admin_port)
        log = folder / f"{name}.log"
        wait_until(lambda: get(admin_port, "/metrics") is not None, f"the server {name}", START_SECONDS, process, log)
        yield server


def growth(found: Sequence[Block], before: Sequence[Block], of: Callable[[Block], float]) -> float:
    """By how much a figure is more than before, as a share: the median of the rounds."""
    return median(of(one) / of(other) for one, other in zip(found, before, strict=True)) - 1


def text_of(blocks: Mapping[str, Sequence[Block]], options: argparse.Namespace) -> str:
    """A row for each way."""
    head = ("way", "median", "99th percentile", "against no samples", "CPU a request", "against no samples", "failed")
    rows = [head, *(_row(name, found, blocks[NONE]) for name, found in blocks.items())]
    return (
        f"{options.rounds} rounds of {options.seconds} s each way, in turn, at {RATE:.0f} requests a second; "
        f"sentiment, one process, {os.cpu_count()} CPUs. Medians over the rounds, in ms.\n\n{table(rows, labels=1)}\n\n"
        f"Goal: the 99th percentile grows by {format_percent(MOST)} at most: {outcome(blocks)}."
    )


def _row(name: str, found: Sequence[Block], before: Sequence[Block]) -> Sequence[str]:
    figures = [median(of(each) for each in found) for of in (_p50, _p99, _cpu)]
    told = ["" if name == NONE else f"{100 * growth(found, before, of):+.1f} %" for of in (_p99, _cpu)]
    failed = sum(each.failed for each in found)
    return (name, in_ms(figures[0]), in_ms(figures[1]), told[0], in_ms(figures[2]), told[1], str(failed))


def _p50(each: Block) -> float:
    return each.p50


def _p99(each: Block) -> float:
    return each.p99


def _cpu(each: Block) -> float:
    return each.cpu


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.samples_overhead", description=__doc__.splitlines()[0])
    add_output_options(parser, SECTION)
    parser.add_argument("--rounds", type=positive, default=10, help="of each way; 10")
    parser.add_argument("--seconds", type=positive, default=10, help="of each way in a round; 10")
    return parser.parse_args()


if __name__ == "__main__":
    given = _options()
    sys.exit(run_command(given, SECTION, lambda: measure(given)))
