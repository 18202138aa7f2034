"""Programs that a release is made with: one sentence where one fails."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.baseline import find_uv
from benchmarks.errors import BenchmarkError
from release.errors import ReleaseError

LAST_LINES = 5


def run(command: Sequence[str | Path], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """What it wrote to stdout. `environment` comes on top of this process's. Raises ReleaseError."""
    return _done(command, folder, environment or {}).stdout


def said(command: Sequence[str | Path], folder: Path) -> str:
    """What it wrote to stdout and to stderr. Raises ReleaseError."""
    done = _done(command, folder, {})
    return done.stdout + done.stderr


def _done(
    command: Sequence[str | Path], folder: Path, environment: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    # Only the lock says which packages there are, whatever environment this was started from.
    inherited = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    try:
        done = subprocess.run(
            list(map(str, command)),
            cwd=folder,
            env={**inherited, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise ReleaseError(f"{command[0]} is missing; run `make setup` first") from error
    if done.returncode != 0:
        last = " / ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-LAST_LINES:])
        raise ReleaseError(f"`{' '.join(map(str, command))[:120]}` failed: {last}")
    return done


def uv() -> str:
    """uv as the Makefile found it, from PATH, or as `make setup` installed it. Raises ReleaseError."""
    try:
        return find_uv()
    except BenchmarkError as error:
        raise ReleaseError(str(error)) from error
