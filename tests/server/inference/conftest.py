"""A model whose runs take long enough to be seen."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.server.conftest import save, tensor


@pytest.fixture(scope="session")
def slow_rows(folder: Path) -> Path:
    """x FP32 [N, 64] -> y FP32 [N, 64]: some tens of milliseconds a run."""
    size = 1500
    nodes = [helper.make_node("MatMul", ["x", "into"], ["h0"])]
    nodes += [helper.make_node("MatMul", [f"h{k}", "weights"], [f"h{k + 1}"]) for k in range(20)]
    nodes += [helper.make_node("MatMul", ["h20", "out"], ["y"])]
    random = np.random.default_rng(0)
    return save(
        folder / "slow_rows.onnx",
        nodes,
        [tensor("x", TensorProto.FLOAT, ["N", 64])],
        [tensor("y", TensorProto.FLOAT, ["N", 64])],
        {
            "into": random.normal(size=(64, size)).astype(np.float32),
            "weights": (random.normal(size=(size, size)) / size**0.5).astype(np.float32),
            "out": random.normal(size=(size, 64)).astype(np.float32),
        },
    )
