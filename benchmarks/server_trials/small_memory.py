"""Starts a model whose rows take far more memory than its file says in a container of 1 GiB, and asks it there."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from benchmarks.errors import BenchmarkError
from benchmarks.markdown import met, table
from benchmarks.memory_cgroup import memory_cgroup
from benchmarks.progress import Progress
from benchmarks.server.server_process import ServerProcess
from benchmarks.server_trials.server_under_test import NAME, start_tidegate
from benchmarks.zoo.environment import package_folder
from benchmarks.zoo.trial import Case, cases, differences_at_once, doors, get

PACKAGE = "speechmos==0.0.1.1"
MODEL = "sig_bak_ovr.onnx"
LIMIT = 2**30
LONGEST_SECONDS = 15.0
STARTS = 3
SETTINGS = {"TIDEGATE_MAX_BODY_BYTES": str(2**26)}
Answers = Callable[[ServerProcess], list[str]]


@dataclass(frozen=True)
class Start:
    """`seconds` until it was ready; bytes of the cgroup at most, until then and after questions; `batching` in words.

    `wrong` is what was wrong with the answers to eight questions at once.
    """

    seconds: float
    ready_bytes: int
    peak_bytes: int
    batching: str
    wrong: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Ready in time, and answering."""
        return self.seconds <= LONGEST_SECONDS and not self.wrong


def try_starts(progress: Progress) -> list[Start]:
    """Some, one after the other. Raises BenchmarkError where the server dies, or where no such limit can be set."""
    model = next(iter(sorted(package_folder(PACKAGE).rglob(MODEL))), None)
    if model is None:
        raise BenchmarkError(f"{PACKAGE} has no {MODEL}")
    found = cases(model)
    starts = []
    for _ in range(STARTS):
        starts.append(start_in(LIMIT, model, lambda server: _wrong(server, found)))
        progress.note(f"ready after {starts[-1].seconds:.1f} s")
    return starts


def start_in(limit: int, model: Path, ask: Answers) -> Start:
    """In a cgroup of so many bytes. Raises BenchmarkError where the server dies."""
    with memory_cgroup(limit) as cgroup:
        began = monotonic()
        with start_tidegate(model, SETTINGS, cgroup) as server:
            seconds, ready_bytes = monotonic() - began, cgroup.peak_bytes()
            batching = json.loads(get(server.port, f"/v2/models/{NAME}"))["properties"]["batching"]
            wrong = tuple(ask(server))
            if server.has_ended:
                raise BenchmarkError(f"the server died: {server.last_log_line()}")
            return Start(seconds, ready_bytes, cgroup.peak_bytes(), batching, wrong)


def _wrong(server: ServerProcess, found: list[Case]) -> list[str]:
    (_, binary, *_) = doors(server.port, server.grpc_port, NAME)
    return list(differences_at_once(binary, found))


def small_memory_report(starts: list[Start]) -> str:
    """Markdown."""
    rows = [
        [
            f"{start.seconds:.1f}",
            f"{start.ready_bytes / 2**20:.0f}",
            f"{start.peak_bytes / 2**20:.0f} of {LIMIT // 2**20}",
            start.batching,
            start.wrong[0] if start.wrong else "exact",
            met(start.is_good),
        ]
        for start in starts
    ]
    heads = ["ready after, s", "memory until then, MiB", "and after questions", "batching", "8 at once", ""]
    return table([heads, *rows])
