"""The two codes that are compared: how each one's programs are started."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.baseline import ROOT, installed, own_environment

PACKAGE = ("tidegate", "router")
"""With its extra."""


@dataclass(frozen=True)
class Code:
    """`name` is empty for this code, else the commit's. `source` comes first where Python looks for modules."""

    name: str
    python: str
    tree: Path

    @property
    def title(self) -> str:
        """What it is called in sentences."""
        return self.name or "this code"

    @property
    def crds(self) -> Path:
        """The folder with its CRDs."""
        return self.tree / "crds"

    def tidegate(self, *arguments: str) -> Sequence[str]:
        """The command line of one of its programs."""
        return (self.python, "-m", "tidegate", *arguments)

    def environment(self, *more: Path) -> Mapping[str, str]:
        """Lets it find its own modules, and then those in further folders."""
        return {"PYTHONPATH": os.pathsep.join(str(path) for path in (self.tree / "operator" / "src", *more))}


def this_code(python: str = "") -> Code:
    """Of this checkout; where another Python is to run it, in an environment of its own. Raises BenchmarkError."""
    return Code("", str(own_environment(python, *PACKAGE) / "bin" / "python") if python else sys.executable, ROOT)


def baseline_code(commit: str, python: str = "") -> Code:
    """Of an earlier commit, in an environment of its own. Raises BenchmarkError."""
    found = installed(commit, *PACKAGE, python=python or sys.executable)
    return Code(found.commit, str(found.program("tidegate", "python")), found.tree)


def version_of(code: Code) -> str:
    """Of the Python that runs it: 3.11.7."""
    command = [code.python, "-c", "import platform; print(platform.python_version())"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
