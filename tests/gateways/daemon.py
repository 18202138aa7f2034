"""A program beside the cluster that can be killed and started again."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.programs import running


@dataclass
class Daemon:
    """Its command, and the folder of its log."""

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    _block: ExitStack = field(default_factory=ExitStack)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Begins a process; the log goes on."""
        self.process = self._block.enter_context(running(self.command, self.folder, self.name, self.environment))

    def kill(self) -> None:
        """Without a word, as the kernel does when memory is out."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """Ends what has been started."""
        self._block.close()

    @property
    def log(self) -> Path:
        """Where it writes."""
        return self.folder / f"{self.name}.log"


@contextmanager
def started(daemon: Daemon) -> Iterator[Daemon]:
    """Runs while inside, unless it is killed."""
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()
