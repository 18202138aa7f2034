"""Starts the model server as a process of its own, as it is, but for its address and what a trial sets."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from benchmarks.memory_cgroup import MemoryCgroup
from benchmarks.server.server_process import ServerProcess, start_server
from benchmarks.server.setups import Launch, LaunchContext, ServerSetup, tidegate_setup

NAME = "tried"
_SIGNS_OF_A_FAULT = ("Traceback", "in the server itself", "failed in the application")


def start_tidegate(
    model: Path, environment: Mapping[str, str] | None = None, cgroup: MemoryCgroup | None = None
) -> AbstractContextManager[ServerProcess]:
    """The server with this model, listening: it listens only when it's ready. Raises BenchmarkError when it isn't."""
    setup = tidegate_setup(environment)
    return start_server(setup if cgroup is None else _within(cgroup, setup), NAME, model)


def _within(cgroup: MemoryCgroup, setup: ServerSetup) -> ServerSetup:
    def launch(context: LaunchContext) -> Launch:
        plain = setup.launch(context)
        return Launch(cgroup.wrapped(plain.command), plain.environment)

    return replace(setup, launch=launch)


def faults(server: ServerProcess) -> list[str]:
    """The lines of its log about errors that nobody foresaw."""
    lines = server.log.read_text(errors="replace").splitlines()
    return [line.strip()[:300] for line in lines if any(sign in line for sign in _SIGNS_OF_A_FAULT)]
