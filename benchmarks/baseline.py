"""The code of an earlier commit, taken from git and kept from run to run: its files, and a Python that has it."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.errors import BenchmarkError
from tidegate_demo.cluster.layout import cache_folder

ROOT = Path(__file__).resolve().parents[1]
SHORT = 7


@dataclass(frozen=True)
class Baseline:
    """`commit` is its short name, and `tree` the folder with its files."""

    commit: str
    tree: Path

    def program(self, package: str, name: str) -> Path:
        """Of the environment that `installed` makes for a package."""
        return self.environment(package) / "bin" / name

    def environment(self, package: str) -> Path:
        """The folder of that package's own."""
        return self.tree / f".venv-{package}"


def fetched(commit: str) -> Baseline:
    """The files of a commit, outside the checkout. Raises BenchmarkError."""
    whole = _git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}").decode().strip()
    tree = cache_folder() / "baselines" / whole[:12]
    if not tree.exists():
        tree.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=tree.parent) as scratch:
            with tarfile.open(fileobj=io.BytesIO(_git("archive", whole))) as archive:
                archive.extractall(Path(scratch, "tree"), filter="data")
            Path(scratch, "tree").rename(tree)
    return Baseline(whole[:SHORT], tree)


def installed(commit: str, package: str, *extras: str, python: str = sys.executable) -> Baseline:
    """As `fetched`, with an environment for one package in its lock's exact versions. Raises BenchmarkError."""
    found = fetched(commit)
    _sync(found.tree, found.environment(package), python, package, *extras)
    return found


def own_environment(python: str, package: str, *extras: str) -> Path:
    """The folder of an environment by another Python, in which this checkout's package is. Raises BenchmarkError."""
    place = ROOT / "build" / "environments" / package
    _sync(ROOT, place, python, package, *extras)
    return place


def _sync(tree: Path, environment: Path, python: str, package: str, *extras: str) -> None:
    command = [find_uv(), "sync", "--quiet", "--frozen", "--no-dev", "--python", python, "--package", package]
    kept = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(
        [*command, *(word for extra in extras for word in ("--extra", extra))],
        cwd=tree,
        env={**kept, "UV_PROJECT_ENVIRONMENT": str(environment)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BenchmarkError(f"{tree.name} can't be installed with {python}: {done.stderr.strip()[-500:]}")


def find_uv() -> str:
    """uv as the Makefile names it, from PATH, or the one that `make setup` installed."""
    own = sorted(cache_folder().glob("uv-*/bin/uv"))
    found = os.environ.get("UV") or shutil.which("uv") or (str(own[-1]) if own else None)
    if found is None:
        raise BenchmarkError("uv is missing; run `make setup` first")
    return found


def _git(*arguments: str) -> bytes:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, check=False)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip() or "there is no such commit"
        raise BenchmarkError(f"git {' '.join(arguments)} failed: {said}")
    return done.stdout
