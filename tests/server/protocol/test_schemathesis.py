"""A running server against its own OpenAPI document: schemathesis asks what it allows, and a bit beyond."""

import subprocess
import sys
from pathlib import Path

from onnx import TensorProto, helper

from tests.server.conftest import Start, save, tensor

CONFIG = Path(__file__).with_name("schemathesis.toml")


def mixed(folder: Path) -> Path:
    """Four kinds of input, each by itself on its way to an output, and numbers that can't overflow."""
    return save(
        folder / "mixed.onnx",
        [
            helper.make_node("Tanh", ["place"], ["near"]),
            helper.make_node("Identity", ["age"], ["years"]),
            helper.make_node("Identity", ["city"], ["town"]),
            helper.make_node("Not", ["member"], ["stranger"]),
        ],
        [
            tensor("age", TensorProto.INT64, ["N", 1]),
            tensor("place", TensorProto.FLOAT, ["N", 2]),
            tensor("city", TensorProto.STRING, ["N"]),
            tensor("member", TensorProto.BOOL, ["N"]),
        ],
        [
            tensor("years", TensorProto.INT64, ["N", 1]),
            tensor("near", TensorProto.FLOAT, ["N", 2]),
            tensor("town", TensorProto.STRING, ["N"]),
            tensor("stranger", TensorProto.BOOL, ["N"]),
        ],
        {},
    )


def test_every_answer_is_one_that_the_document_describes(start: Start, tmp_path: Path) -> None:
    server = start(mixed(tmp_path))
    told = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            f"--config-file={CONFIG}",
            "--no-color",
            "run",
            f"http://127.0.0.1:{server.port}/openapi.json",
            "--max-examples=25",
            "--seed=1",
            "--generation-database=none",
        ],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=tmp_path,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "Tested: 17" in told.stdout
