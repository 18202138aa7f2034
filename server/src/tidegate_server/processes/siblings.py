"""The other processes, as the first one sees them: started, asked for their numbers, told to end, and watched.

They talk over a socket pair that the sibling inherits. When it closes, whoever is left ends.
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

from tidegate_server.errors import ModelRefused
from tidegate_server.inference.plan import Plan
from tidegate_server.metrics.snapshot import Snapshot, merged
from tidegate_server.settings import Settings

log = logging.getLogger(__name__)

DESCRIPTOR = "TIDEGATE_SIBLING_DESCRIPTOR"
WARM, LISTEN, SNAPSHOT = "warm", "listen", "snapshot"
SECONDS_TO_WARM_UP = 120.0
SECONDS_TO_TELL = 0.5
SECONDS_AFTER_THE_DEADLINE = 1.0


@dataclass
class _Sibling:
    process: "subprocess.Popen[bytes]"
    line: Connection
    asked: int = 0
    last: Snapshot | None = None


@dataclass
class Siblings:
    """None of them, most of the time. Any thread may ask for snapshots; the rest belongs to the main thread."""

    _all: list[_Sibling] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)
    _ending: bool = False

    @classmethod
    def start(cls, count: int, settings: Settings, plan: Plan) -> "Siblings":
        """Returns when all are warm. Raises ModelRefused when one can't be started; none is left then."""
        siblings = cls()
        try:
            for number in range(count):
                siblings._all.append(_started(number, settings, plan))
            deadline = monotonic() + SECONDS_TO_WARM_UP
            for sibling in siblings._all:
                _hear(sibling.line, WARM, deadline - monotonic())
        except (OSError, EOFError) as error:
            siblings.kill()
            raise ModelRefused(
                "SiblingFailed", "another process for this model didn't start; see its line above"
            ) from error
        return siblings

    @property
    def count(self) -> int:
        return len(self._all)

    def listen(self, port: int) -> None:
        """Lets them in on the port."""
        for sibling in self._all:
            sibling.line.send((LISTEN, port))

    def gathered(self, own: Snapshot) -> Snapshot:
        """The numbers of all processes together. One that doesn't answer in time counts as it last did."""
        with self._lock:
            return merged([own, *filter(None, map(_snapshot_of, self._all))])

    def signal(self, number: int) -> None:
        """From now on it's no failure when they end."""
        self._ending = True
        for sibling in self._all:
            with suppress(ProcessLookupError):
                sibling.process.send_signal(number)

    @property
    def have_failed(self) -> bool:
        """One has ended that nobody asked to end."""
        return not self._ending and any(sibling.process.poll() is not None for sibling in self._all)

    def wait(self, seconds: float) -> bool:
        """Whether all have ended well by then; those that haven't are killed."""
        deadline = monotonic() + seconds + SECONDS_AFTER_THE_DEADLINE
        well = True
        for sibling in self._all:
            try:
                well &= sibling.process.wait(max(0.0, deadline - monotonic())) == 0
            except subprocess.TimeoutExpired:
                well = False
        self.kill()
        return well

    def kill(self) -> None:
        for sibling in self._all:
            sibling.process.kill()
            sibling.process.wait()
            sibling.line.close()


def _started(number: int, settings: Settings, plan: Plan) -> _Sibling:
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tidegate_server.processes.sibling"],
            env={**os.environ, DESCRIPTOR: str(theirs.fileno())},
            pass_fds=[theirs.fileno()],
            # A Ctrl-C at a keyboard reaches the first process, which passes it on.
            start_new_session=True,
        )
    line = Connection(ours.detach())
    line.send((number, settings, plan))
    return _Sibling(process, line)


def _hear(line: Connection, word: str, seconds: float) -> None:
    """Raises EOFError, or OSError when nothing comes in time."""
    if not line.poll(max(0.0, seconds)):
        raise TimeoutError
    if line.recv() != word:
        raise EOFError


def _snapshot_of(sibling: _Sibling) -> Snapshot | None:
    sibling.asked += 1
    with suppress(OSError, EOFError, pickle.UnpicklingError):
        sibling.line.send((SNAPSHOT, sibling.asked))
        deadline = monotonic() + SECONDS_TO_TELL
        # A late answer to an earlier question is still the newest that there is.
        while sibling.line.poll(max(0.0, deadline - monotonic())):
            answered, sibling.last = sibling.line.recv()
            if answered == sibling.asked:
                break
    return sibling.last
