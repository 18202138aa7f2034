"""Asks real servers with the newest clients of other projects, each in an environment outside of this folder.

Not part of the test suite: it installs what package registries have today, and takes minutes the first time.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from tests.server.conftest import Server, save, tensor
from tests.server.dialects.conftest import embedding, save_embedder
from tests.server.predict.conftest import SENTIMENT

ENVIRONMENTS: dict[str, tuple[str, ...]] = {
    "clients": (
        "openai",
        "langchain-openai",
        "llama-index-embeddings-openai-like",
        "llama-index-embeddings-openai",
        "huggingface-hub",
        "mlflow",
        "tritonclient[http,grpc]",
        "requests",
    ),
    # It wants other versions of what the others want.
    "kserve": ("kserve", "grpcio-health-checking", "grpcio-reflection"),
}
PROGRAM = Path(__file__).with_name("calls.py")
LONGEST_SECONDS = 600


def main() -> int:
    """The exit code: 1 where a client wasn't answered right. Prints the table of docs/clients.md."""
    pythons = {name: install(name, packages) for name, packages in ENVIRONMENTS.items()}
    with TemporaryDirectory() as folder, _servers(Path(folder)) as servers:
        rows = [row for name, python in pythons.items() for row in _ask(python, ENVIRONMENTS[name], servers)]
    print("| client | version | call | result |\n|---|---|---|---|")  # noqa: T201 - a table for people
    for row in rows:
        print(f"| {row['client']} | {row['version']} | `{row['call']}` | {row['result']} |")  # noqa: T201
    return 0 if all(row["result"] == "right" for row in rows) else 1


def install(name: str, packages: Sequence[str]) -> Path:
    """The Python of an environment with the newest versions."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = cache / "tidegate" / "clients" / name
    uv = os.environ.get("UV") or shutil.which("uv") or sys.exit("uv is missing: run make setup")
    python = home / "bin" / "python"
    if not python.is_file():
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(home)], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--upgrade", "--python", str(python), *packages], check=True)
    return python


def _ask(python: Path, packages: Sequence[str], servers: str) -> list[dict[str, str]]:
    names = [package.partition("[")[0] for package in packages]
    done = subprocess.run(
        [str(python), str(PROGRAM), servers, *names], capture_output=True, text=True, timeout=LONGEST_SECONDS
    )
    if done.returncode:
        sys.exit(done.stderr)
    rows: list[dict[str, str]] = json.loads(done.stdout.splitlines()[-1])
    return rows


@contextmanager
def _servers(folder: Path) -> Iterator[str]:
    """Their addresses, as the program takes them."""
    words, digits, sums = folder / "words", folder / "digits", folder / "sums"
    for each in (words, digits, sums):
        each.mkdir()
    models = {"words": save_embedder(words), "sentiment": SENTIMENT / "model.onnx", "digits": _save_digits(digits)}
    models["sums"] = _save_sums(sums)
    started: dict[str, Server] = {}
    try:
        for name, path in models.items():
            started[name] = Server(path, folder / f"{name}.log", TIDEGATE_MODEL_NAME=name)
            started[name].wait_until_ready()
        addresses: dict[str, Any] = {name: f"127.0.0.1:{server.port}" for name, server in started.items()}
        del addresses["sums"]
        for name in ("digits", "sums"):
            addresses[f"{name}_grpc"] = f"127.0.0.1:{started[name].grpc_port}"
        yield json.dumps({**addresses, "vectors": [embedding(3, 4), embedding(6)]})
    finally:
        for server in started.values():
            server.end()


def _save_digits(folder: Path) -> Path:
    """pixels FP32 [N, 4] -> label INT64 [N], scores FP32 [N, 3]."""
    return save(
        folder / "model.onnx",
        [
            helper.make_node("MatMul", ["pixels", "weights"], ["scores"]),
            helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
        ],
        [tensor("pixels", TensorProto.FLOAT, ["N", 4])],
        [tensor("label", TensorProto.INT64, ["N"]), tensor("scores", TensorProto.FLOAT, ["N", 3])],
        {"weights": np.eye(4, 3, dtype=np.float32)},
    )


def _save_sums(folder: Path) -> Path:
    """a, b FP32 [N, 2] -> sum FP32 [N, 2]."""
    return save(
        folder / "model.onnx",
        [helper.make_node("Add", ["a", "b"], ["sum"])],
        [tensor(name, TensorProto.FLOAT, ["N", 2]) for name in ("a", "b")],
        [tensor("sum", TensorProto.FLOAT, ["N", 2])],
        {},
    )


if __name__ == "__main__":
    sys.exit(main())
