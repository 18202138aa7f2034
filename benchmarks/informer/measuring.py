"""Runs the measured process on this code, and on that of an earlier commit, each in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.baseline import ROOT
from benchmarks.errors import BenchmarkError
from benchmarks.informer.api_server import ApiServer
from benchmarks.informer.report import Footprint, Memory


def footprint(number: int, tree: Path = ROOT) -> Footprint:
    """What the operator of a tree takes for so many pods. Raises BenchmarkError."""
    return Footprint(traced=_memory(number, tree, "traced"), resident=_memory(number, tree, "resident"))


def _memory(number: int, tree: Path, how: str) -> Memory:
    command = [sys.executable, "-m", "benchmarks.informer.probe"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tree / "operator" / "src"), str(ROOT)])}
    with ApiServer(number).running() as api:
        done = subprocess.run([*command, api.url, how], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchmarkError(f"the measured process of {tree} ended with {done.returncode}: {done.stderr[-2000:]}")
    return Memory(**json.loads(done.stdout))
