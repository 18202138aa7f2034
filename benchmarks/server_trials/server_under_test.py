"""Starts the model server as a process of its own, as it is, but for its address and what a trial sets."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.server.server_process import ServerProcess, start_server
from benchmarks.server.setups import tidegate_setup

NAME = "tried"
_SIGNS_OF_A_FAULT = ("Traceback", "in the server itself", "failed in the application")


def start_tidegate(model: Path, environment: Mapping[str, str] | None = None) -> AbstractContextManager[ServerProcess]:
    """The server with this model, listening: it listens only when it's ready. Raises BenchmarkError when it isn't."""
    return start_server(tidegate_setup(environment), NAME, model)


def faults(server: ServerProcess) -> list[str]:
    """The lines of its log about errors that nobody foresaw."""
    lines = server.log.read_text(errors="replace").splitlines()
    return [line.strip()[:300] for line in lines if any(sign in line for sign in _SIGNS_OF_A_FAULT)]
