"""Programs that run inside a block, on loopback ports, each with a log of its own, and threads that do."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.errors import BenchmarkError
from tidegate.rehearsal.processes import free_ports, wait_or_kill

__all__ = ["alongside", "end_of", "free_ports", "running", "wait_until"]
LAST_LINES = 12
PAUSE = 0.05


@contextmanager
def running(
    command: Sequence[str], folder: Path, name: str, environment: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """The program, which writes `NAME.log` in `folder`; ended when the block is left. `environment` comes on top."""
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is ours to handle
        )
    try:
        yield process
    finally:
        process.terminate()
        wait_or_kill(process)


def wait_until(
    true: Callable[[], bool],
    what: str,
    seconds: float,
    process: "subprocess.Popen[bytes] | None" = None,
    log: Path | None = None,
) -> None:
    """Raises BenchmarkError when it takes longer, or the process has ended; with the end of its log."""
    began = time.monotonic()
    while not true():
        if process is not None and process.poll() is not None:
            raise _failure(f"{what}: {process.args!r} has ended with code {process.returncode}", log)
        if time.monotonic() - began > seconds:
            raise _failure(f"not within {seconds:.0f} s: {what}", log)
        time.sleep(PAUSE)


def _failure(trouble: str, log: Path | None) -> BenchmarkError:
    return BenchmarkError(f"{trouble}; its last words:\n{end_of(log)}" if log else trouble)


@contextmanager
def alongside(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Lets `work` run in a thread inside the block; it ends soon after the event that it is given is set."""
    stopped = threading.Event()
    thread = threading.Thread(target=work, args=(stopped,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def end_of(log: Path) -> str:
    """Its last lines."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-LAST_LINES:])
