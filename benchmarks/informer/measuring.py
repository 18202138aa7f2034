"""Runs the measured process on this code, and on that of an earlier commit, each in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.errors import BenchmarkError
from benchmarks.informer.api_server import ApiServer
from benchmarks.informer.report import Footprint, Memory

ROOT = Path(__file__).resolve().parents[2]


def footprint(number: int, tree: Path = ROOT) -> Footprint:
    """What the operator of a tree takes for so many pods. Raises BenchmarkError."""
    return Footprint(traced=_memory(number, tree, "traced"), resident=_memory(number, tree, "resident"))


@contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """The files of a commit, in a folder that is there inside the block. Raises BenchmarkError."""
    with TemporaryDirectory(prefix="tidegate-baseline-") as folder:
        place = Path(folder) / "tree"
        _git("worktree", "add", "--quiet", "--detach", str(place), commit)
        try:
            yield place
        finally:
            _git("worktree", "remove", "--force", str(place))


def _git(*arguments: str) -> None:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchmarkError(f"git {arguments[0]} {arguments[1]} failed: {done.stderr.strip()}")


def _memory(number: int, tree: Path, how: str) -> Memory:
    command = [sys.executable, "-m", "benchmarks.informer.probe"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tree / "operator" / "src"), str(ROOT)])}
    with ApiServer(number).running() as api:
        done = subprocess.run([*command, api.url, how], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchmarkError(f"the measured process of {tree} ended with {done.returncode}: {done.stderr[-2000:]}")
    return Memory(**json.loads(done.stdout))
