"""One round of each end, and a server that ends as none should."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.programs import free_ports
from benchmarks.server.models import MODELS
from benchmarks.server.server_process import ServerProcess
from benchmarks.server_trials.server_under_test import start_tidegate
from benchmarks.server_trials.stopping import PACED, PROFILES, LoadProfile, stop_under
from benchmarks.server_trials.stopping_grpc import stop_under_calls
from benchmarks.server_trials.stopping_trial import SETTINGS, Ending, inference_request, stopping_report

RUDE = """
import asyncio, sys

async def answer(reader, writer):
    while True:
        head = await reader.readuntil(b"\\r\\n\\r\\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\\r\\n")[0])
        await reader.readexactly(length)
        await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nok")

async def serve():
    server = await asyncio.start_server(answer, "127.0.0.1", int(sys.argv[1]))
    print("listening", flush=True)
    await server.serve_forever()

asyncio.run(serve())
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MODELS["S"].write(tmp_path_factory.mktemp("stopping"))


@pytest.fixture(scope="module")
def staying(model: Path) -> Iterator[ServerProcess]:
    with start_tidegate(model, {"TIDEGATE_PROCESSES": "1"}) as server:
        yield server


@pytest.mark.parametrize("profile", PROFILES[:2], ids=str)
def test_sigterm_under_load_loses_nothing(profile: LoadProfile, model: Path, staying: ServerProcess) -> None:
    with start_tidegate(model, SETTINGS) as server:
        result = stop_under(profile, server.port, server.pid, staying.port, inference_request())
    assert result.is_good, result
    assert (result.told, result.rounds) == (profile.connections, 1)
    assert result.answered > 100
    assert result.new > 10
    assert 2 <= result.exit_seconds[0] < 30


def test_sigterm_under_grpc_calls_loses_nothing(model: Path, staying: ServerProcess) -> None:
    with start_tidegate(model, SETTINGS) as server:
        result = stop_under_calls(server.grpc_port, server.pid, staying.grpc_port, MODELS["S"].row[0])
    assert result.is_good, result
    assert result.answered > 100


def test_a_server_that_just_dies_loses_requests_and_the_trial_says_so(staying: ServerProcess) -> None:
    (port,) = free_ports(1)
    with subprocess.Popen([sys.executable, "-c", RUDE, str(port)], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            with closing(process.stdout) as words:
                assert words.readline() == b"listening\n"
                result = stop_under(PACED, port, process.pid, staying.port, inference_request())
        finally:
            process.kill()
    assert not result.is_good
    assert result.lost.total() + result.untold == PACED.connections
    assert result.new_lost["ConnectionRefusedError"] > 0
    assert "**missed**" in stopping_report([Ending("Tidegate", str(PACED), result)])
