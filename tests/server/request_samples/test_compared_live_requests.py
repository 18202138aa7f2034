"""Real servers: live requests that stable keeps are asked of a candidate, and no body is in what is written."""

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.server.conftest import Server, save, send_request, tensor

KEY = "0123456789abcdef"
REQUESTS = 450
ODD = 8675309753
"""A number in each request that is in nothing else."""


@pytest.fixture(scope="session")
def shifted(folder: Path) -> Path:
    """As `linear`, but of the positions 1 and 2 it has a slight preference for 2."""
    weights = np.eye(4, 3, dtype=np.float32)
    weights[:, 2] *= 1.02
    return save(
        folder / "shifted.onnx",
        [
            helper.make_node("MatMul", ["pixels", "weights"], ["scores"]),
            helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
        ],
        [tensor("pixels", TensorProto.FLOAT, ["N", 4])],
        [tensor("label", TensorProto.INT64, ["N"]), tensor("scores", TensorProto.FLOAT, ["N", 3])],
        {"weights": weights},
    )


def ask_as_users(server: Server) -> None:
    """One request in thirty is a near tie between the positions 1 and 2."""
    with closing(server.connect()) as connection:
        for number in range(REQUESTS):
            second = 0.99 if number % 30 == 0 else 0.1
            body = {"inputs": [[0, 1, second, ODD * (number % 2)]]}
            assert send_request(connection, "POST", "/predict", body).status == 200


def compare(stable: Server, candidate: Server) -> "subprocess.CompletedProcess[str]":
    urls = [f"http://127.0.0.1:{each.port}" for each in (stable, candidate)]
    environment = {"TIDEGATE_SAMPLES_KEY": KEY, "TIDEGATE_SAMPLES_URL": f"http://127.0.0.1:{stable.admin_port}"}
    command = [sys.executable, "-m", "tidegate", "compare", *urls, "--live", "--rate", "500", "--output", "json"]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def test_who_answers_live_requests_otherwise_is_found(start: Any, linear: Path, shifted: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    sampling = {"TIDEGATE_REQUEST_SAMPLES": "1000", "TIDEGATE_REQUEST_SAMPLES_KEY_FILE": str(tmp_path / "key")}
    stable, same, other = start(linear, **sampling), start(linear), start(shifted)
    found = []
    for candidate in (same, other):
        ask_as_users(stable)
        found.append(compare(stable, candidate))
    told = [json.loads(each.stdout) for each in found]

    assert [each.returncode for each in found] == [0, 3], [each.stderr for each in found]
    assert [(each["answer"], each["noisy"]) for each in told] == [("Agrees", 0), ("Differs", 0)]
    assert told[0]["requests"] == 371
    assert set(told[1]["kinds"]) == {"class"}
    written = "".join([*(each.stdout + each.stderr for each in found), stable.log, same.log, other.log])
    assert str(ODD) not in written + stable.metrics() + other.metrics()
