"""All ends, again and again: ours by HTTP and by gRPC, and those of the servers that others put around a model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.http_client import HOST
from benchmarks.http_servers.setups import PACKAGES
from benchmarks.markdown import UNKNOWN, met, table
from benchmarks.progress import Progress
from benchmarks.server.models import MODELS
from benchmarks.server.peers import install_all
from benchmarks.server.protocols import JSON
from benchmarks.server.server_process import start_server
from benchmarks.server.setups import ServerSetup
from benchmarks.server_trials.server_under_test import NAME, start_tidegate
from benchmarks.server_trials.stopping import PROFILES, STUBBORN, LoadProfile, StopResult, stop_under
from benchmarks.server_trials.stopping_grpc import stop_under_calls

SETTINGS = {"TIDEGATE_DRAIN_SECONDS": "2"}
"""Less than the 5 s that it has by itself, so that many rounds are short; more than the router's second."""
TIDEGATE = "Tidegate"
PEERS = {"gunicorn": "gthread, 16 threads", "granian": "WSGI, 2 threads", "waitress": "16 threads"}
PEER_ROUNDS = 3


@dataclass(frozen=True)
class Ending:
    """All rounds of one server under one load profile."""

    server: str
    profile: str
    result: StopResult

    @property
    def is_ours(self) -> bool:
        """Whether it is held to the promise."""
        return self.server == TIDEGATE


def try_stopping(
    folder: Path, rounds: int, with_peers: bool, more: Mapping[str, str], progress: Progress
) -> list[Ending]:
    """`more` settings for our server. Raises BenchmarkError when a server can't be started."""
    settings = {**SETTINGS, **more}
    model, request = MODELS["S"].write(folder), inference_request()
    endings = []
    with start_tidegate(model) as staying:

        def stop_ours(profile: LoadProfile) -> StopResult:
            with start_tidegate(model, settings) as server:
                return stop_under(profile, server.port, server.pid, staying.port, request)

        def stop_our_calls() -> StopResult:
            with start_tidegate(model, settings) as server:
                width = MODELS["S"].row[0]
                return stop_under_calls(server.grpc_port, server.pid, staying.grpc_port, width)

        for profile in (*PROFILES, STUBBORN):
            progress.note(f"{TIDEGATE}, {profile}")
            endings.append(Ending(TIDEGATE, str(profile), _repeated(partial(stop_ours, profile), rounds)))
        progress.note(f"{TIDEGATE}, gRPC")
        endings.append(
            Ending(TIDEGATE, "gRPC, at saturation, 8 channels with 4 calls each", _repeated(stop_our_calls, rounds))
        )
        for peer in _peers(progress) if with_peers else []:
            for profile in PROFILES:
                progress.note(f"{peer}, {profile}")
                stop = _stopper_of(peer, model, profile, staying.port, request)
                endings.append(Ending(str(peer), str(profile), _repeated(stop, min(rounds, PEER_ROUNDS))))
    return endings


def _repeated(once: Callable[[], StopResult], rounds: int) -> StopResult:
    result = once()
    for _ in range(rounds - 1):
        result.add(once())
    return result


def _stopper_of(
    peer: ServerSetup, model: Path, profile: LoadProfile, other: int, request: bytes
) -> Callable[[], StopResult]:
    def stop() -> StopResult:
        with start_server(peer, NAME, model) as server:
            return stop_under(profile, server.port, server.pid, other, request)

    return stop


def _peers(progress: Progress) -> list[ServerSetup]:
    """Those that can be installed."""
    programs, missing = install_all([package for package in PACKAGES if package.package in PEERS], progress)
    for package, why in missing.items():
        progress.note(f"without {package.name}, which {why}")
    return [
        setup
        for package, folder in programs.items()
        for setup in package.settings(package, folder)
        if setup.setting == PEERS[package.package]
    ]


def inference_request() -> bytes:
    """One row for model S as it is sent."""
    return JSON.ask(NAME, MODELS["S"].row_of_input()).sent_to(HOST)


def stopping_report(endings: list[Ending]) -> str:
    """Markdown."""
    head = [
        "server", "load", "rounds", "answered", "lost on kept connections", "told to close", "closed untold",
        "new ones lost", "exit, s",
    ]  # fmt: skip
    good = all(ending.result.is_good for ending in endings if ending.is_ours)
    lost = [
        f"- {ending.server}, {ending.profile}: {count} × {what}"
        for ending in endings
        for counter in (ending.result.lost, ending.result.new_lost)
        for what, count in counter.most_common(3)
    ]
    return "\n".join([f"**{met(good)}**", "", table([head, *map(_row, endings)]), "", *lost])


def _row(ending: Ending) -> list[str]:
    result = ending.result
    connections = result.told + result.untold + result.left_open + result.lost.total()
    told = f"{result.told} of {connections}" if connections else UNKNOWN
    new = f"{result.new_lost.total()} of {result.new:,}" if result.new else UNKNOWN
    slowest = f"{max(result.exit_seconds):.1f}" if result.exit_seconds else UNKNOWN
    killed = f", {result.killed} killed" if result.killed else ""
    return [
        ending.server, ending.profile, str(result.rounds), f"{result.answered:,}", str(result.lost.total()), told,
        str(result.untold), new, slowest + killed,
    ]  # fmt: skip
