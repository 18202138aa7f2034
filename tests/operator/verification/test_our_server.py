"""Our own server, as a process: everything is there, over HTTP and over gRPC, with and without keys."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operator.verification.conftest import Verify
from tests.server.conftest import Server, folder, pair

EXAMPLES = Path(__file__).parents[3] / "examples" / "rehearsal"
__all__ = ["folder", "pair"]  # fixtures of the server's own tests
KEY = "a key that is long enough to be one"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(f"shop:{hashlib.sha256(KEY.encode()).hexdigest()}\n")
    return file


@pytest.fixture(scope="module")
def guarded(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("server") / "log"
    server = Server(EXAMPLES / "stable.onnx", log, TIDEGATE_API_KEYS_FILE=str(keys))
    server.wait_until_ready()
    yield server
    server.end()


def test_nothing_is_lacking(verify: Verify, guarded: Server) -> None:
    address, grpc = f"http://127.0.0.1:{guarded.port}", f"127.0.0.1:{guarded.grpc_port}"
    pace = ("--rate", "10", "--seconds", "1")
    seen = verify(address, "--grpc", grpc, *pace, "--requests", str(EXAMPLES / "requests.jsonl"), "--strict", key=KEY)
    assert (seen.code, set(seen.states.values())) == (0, {"ok"}), seen.said
    assert {"gRPC raw contents", "binary tensors", "wrong credentials", "latency"} <= seen.states.keys()


def test_without_a_key_it_says_that_one_is_needed(verify: Verify, guarded: Server) -> None:
    seen = verify(f"http://127.0.0.1:{guarded.port}", "--model", "digits")
    assert (seen.code, seen.states["credentials"]) == (1, "failed")
    assert "--key-file" in seen.said["credentials"]


@pytest.fixture
def pair_server(pair: Path, tmp_path: Path) -> Iterator[Server]:
    server = Server(pair, tmp_path / "log")
    server.wait_until_ready()
    yield server
    server.end()


def test_texts_and_several_inputs_travel_by_every_way(verify: Verify, pair_server: Server, tmp_path: Path) -> None:
    requests = tmp_path / "requests.jsonl"
    numbers = [{"name": name, "datatype": "FP32", "shape": [2], "data": [4.0, 9.0]} for name in ("left", "right")]
    words = {"name": "words", "datatype": "BYTES", "shape": [2], "data": ["one", "zwölf"]}
    requests.write_text(json.dumps({"inputs": [*numbers, words]}) + "\n")
    address, grpc = f"http://127.0.0.1:{pair_server.port}", f"127.0.0.1:{pair_server.grpc_port}"
    seen = verify(address, "--grpc", grpc, "--requests", str(requests))
    assert (seen.code, set(seen.states.values()) - {"not asked"}) == (0, {"ok"}), seen.said
