"""Starts the model server as a process of its own, as it is, but for its address and what a trial sets."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.server.contenders import Contender, Launch, Place, ours
from benchmarks.server.errors import BenchmarkError
from benchmarks.server.running import Running, running
from benchmarks.server_trials.errors import TrialError

NAME = "tried"
_SIGNS_OF_A_FAULT = ("Traceback", "in the server itself", "failed in the application")


@dataclass(frozen=True)
class Tried:
    """A server on trial, ready to answer."""

    running: Running

    @property
    def port(self) -> int:
        return self.running.place.port

    @property
    def grpc_port(self) -> int:
        return self.running.place.more_ports[0]

    @property
    def admin_port(self) -> int:
        return self.running.place.more_ports[1]

    @property
    def pid(self) -> int:
        return self.running.process.pid

    @property
    def has_ended(self) -> bool:
        return self.running.process.poll() is not None

    def faults(self) -> list[str]:
        """What it wrote of errors that nobody foresaw."""
        lines = self.running.log.read_text(errors="replace").splitlines()
        return [line.strip()[:300] for line in lines if any(sign in line for sign in _SIGNS_OF_A_FAULT)]


@contextmanager
def tried(model: Path, environment: Mapping[str, str] | None = None) -> Iterator[Tried]:
    """The server with this model, listening: it listens only when it's ready. Raises TrialError when it never does."""
    standard = ours()

    def launch(place: Place) -> Launch:
        plain = standard.launch(place)
        return Launch(plain.command, {**plain.environment, **(environment or {})})

    try:
        with running(Contender(standard.server, standard.setting, standard.protocols, launch), NAME, model) as server:
            yield Tried(server)
    except BenchmarkError as error:
        raise TrialError(str(error)) from error
