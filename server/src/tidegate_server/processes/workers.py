"""The worker processes, as the primary sees them: started, asked for their metrics, signalled, and watched.

They talk over a socket pair that the worker inherits. When it closes, whoever is left ends.
"""

import logging
import os
import pickle
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from threading import Lock
from time import monotonic
from typing import TypeVar

from tidegate_server.errors import ModelRefused
from tidegate_server.inference.warm_up import Findings
from tidegate_server.metrics.snapshot import Snapshot, merged
from tidegate_server.request_samples.samples import Sample
from tidegate_server.settings import Settings

log = logging.getLogger(__name__)

DESCRIPTOR = "TIDEGATE_WORKER_DESCRIPTOR"
"""The environment variable with the number of the worker's end of the socket pair."""
WARM, LISTEN, SNAPSHOT, SAMPLES = "warm", "listen", "snapshot", "samples"
Answer = TypeVar("Answer")
WARM_UP_TIMEOUT_SECONDS = 120.0
ANSWER_TIMEOUT_SECONDS = 0.5
SECONDS_AFTER_THE_DEADLINE = 1.0


@dataclass
class _Worker:
    process: "subprocess.Popen[bytes]"
    pipe: Connection
    requested: int = 0
    """The number of the last request to it."""
    snapshot: Snapshot | None = None


@dataclass
class Workers:
    """None of them, most of the time. Any thread may ask for snapshots; the rest belongs to the main thread."""

    _all: list[_Worker] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)
    _ending: bool = False

    @classmethod
    def start(cls, count: int, settings: Settings, findings: Findings) -> "Workers":
        """Returns when all are warm. Raises ModelRefused when one can't be started; none is left then."""
        workers = cls()
        try:
            for _ in range(count):
                workers._all.append(_spawn(settings, findings))
            deadline = monotonic() + WARM_UP_TIMEOUT_SECONDS
            for worker in workers._all:
                _expect(worker.pipe, WARM, deadline - monotonic())
        except (OSError, EOFError) as error:
            workers.kill()
            raise ModelRefused(
                "WorkerFailed", "another process for this model didn't start; see its line above"
            ) from error
        return workers

    @property
    def count(self) -> int:
        """Without the primary."""
        return len(self._all)

    def listen(self, port: int) -> None:
        """Has them accept connections at the port."""
        for worker in self._all:
            worker.pipe.send((LISTEN, port))

    def merged_with(self, own: Snapshot) -> Snapshot:
        """The metrics of all processes together. One that doesn't respond in time counts as it last did."""
        with self._lock:
            return merged([own, *filter(None, map(_snapshot_of, self._all))])

    def taken_samples(self, most: int) -> list[Sample]:
        """Of the requests that they have kept; of one that doesn't respond in time, none."""
        taken: list[Sample] = []
        with self._lock:
            for worker in self._all:
                if len(taken) < most:
                    taken += _answer_of(worker, SAMPLES, list, most - len(taken)) or []
        return taken

    def signal(self, number: int) -> None:
        """From now on it's no failure when they end."""
        self._ending = True
        for worker in self._all:
            with suppress(ProcessLookupError):
                worker.process.send_signal(number)

    @property
    def have_failed(self) -> bool:
        """One has ended that got no signal to."""
        return not self._ending and any(worker.process.poll() is not None for worker in self._all)

    def wait(self, seconds: float) -> None:
        """Until all have ended; those that haven't by then are killed."""
        deadline = monotonic() + seconds + SECONDS_AFTER_THE_DEADLINE
        for worker in self._all:
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(max(0.0, deadline - monotonic()))
        self.kill()

    def kill(self) -> None:
        """Leaves none behind, in whatever state they are."""
        for worker in self._all:
            worker.process.kill()
            worker.process.wait()
            worker.pipe.close()


def _spawn(settings: Settings, findings: Findings) -> _Worker:
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tidegate_server.worker"],
            env={**os.environ, DESCRIPTOR: str(theirs.fileno())},
            pass_fds=[theirs.fileno()],
            # A Ctrl-C at a keyboard reaches the primary, which passes it on.
            start_new_session=True,
        )
    pipe = Connection(ours.detach())
    pipe.send((settings, findings))
    return _Worker(process, pipe)


def _expect(pipe: Connection, message: str, seconds: float) -> None:
    """Raises EOFError, or OSError when nothing comes in time."""
    if not pipe.poll(max(0.0, seconds)):
        raise TimeoutError
    if pipe.recv() != message:
        raise EOFError


def _snapshot_of(worker: _Worker) -> Snapshot | None:
    # A late response to an earlier request is still the newest that there is.
    worker.snapshot = _answer_of(worker, SNAPSHOT, Snapshot) or worker.snapshot
    return worker.snapshot


def _answer_of(worker: _Worker, message: str, kind: type[Answer], *arguments: object) -> Answer | None:
    """The last of this kind that came in time; those of other requests are passed over."""
    worker.requested += 1
    answer = None
    with suppress(OSError, EOFError, pickle.UnpicklingError):
        worker.pipe.send((message, worker.requested, *arguments))
        deadline = monotonic() + ANSWER_TIMEOUT_SECONDS
        while worker.pipe.poll(max(0.0, deadline - monotonic())):
            number, content = worker.pipe.recv()
            answer = content if isinstance(content, kind) else answer
            if number == worker.requested:
                break
    return answer
