"""Several processes behind one port: one answer to every question, one end, and no one left over."""

import os
import signal
import threading
from contextlib import ExitStack, closing
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from tests.server.conftest import send_request, until

ROW = b'{"inputs": [[0, 5, 1, 0]]}'
CONNECTIONS = 24
"""The kernel deals them out by their ports: that one of two processes gets none has a chance of 1 in 8 million."""


@pytest.fixture
def two_processes(start: Any, linear: Path) -> Any:
    return start(linear, TIDEGATE_PROCESSES="2", TIDEGATE_DRAIN_SECONDS="1")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_there(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def count(server: Any, metric: str) -> float:
    lines = [line for line in server.metrics().splitlines() if line.startswith(metric) and not line.startswith("#")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def test_both_work_and_are_counted_as_one(two_processes: Any) -> None:
    (worker,) = children(two_processes.process.pid)
    before = [_cpu_ticks(pid) for pid in (two_processes.process.pid, worker)]
    with ExitStack() as stack:
        connections = [stack.enter_context(closing(two_processes.connect())) for _ in range(CONNECTIONS)]
        for connection in connections:
            for _ in range(40):
                assert send_request(connection, "POST", "/predict", ROW).status == 200
        statistics = [
            send_request(each, "GET", "/v2/models/digits/stats").json["model_stats"][0] for each in connections
        ]
    assert {one["inference_count"] for one in statistics} == {40 * CONNECTIONS}
    assert count(two_processes, 'tidegate_server_requests_total{code="200"') == 40 * CONNECTIONS
    assert count(two_processes, "tidegate_server_processes") == 2
    assert all(_cpu_ticks(pid) > ticks for pid, ticks in zip((two_processes.process.pid, worker), before, strict=True))


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_the_end_loses_no_request_in_either(two_processes: Any) -> None:
    (worker,) = children(two_processes.process.pid)
    failures: list[str] = []
    told: list[bool] = []
    ending = threading.Event()

    def ask() -> None:
        while not ending.is_set():
            with closing(two_processes.connect()) as connection:
                while not ending.is_set():
                    try:
                        answer = send_request(connection, "POST", "/predict", ROW)
                    except OSError as error:
                        failures.append(repr(error))
                        return
                    if answer.status != 200:
                        failures.append(str(answer))
                    if answer.headers.get("connection") == "close":
                        told.append(True)
                        break

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    sleep(0.3)
    two_processes.terminate()
    sleep(0.6)
    ending.set()
    for thread in threads:
        thread.join()
    assert (failures, len(told) >= 16) == ([], True)
    assert two_processes.exit_code() == 0
    assert not is_there(worker)


def test_a_process_that_dies_ends_the_server(two_processes: Any) -> None:
    (worker,) = children(two_processes.process.pid)
    os.kill(worker, signal.SIGKILL)
    assert two_processes.exit_code() == 1
    assert "has ended by itself" in two_processes.log


def test_nobody_outlives_the_primary(two_processes: Any) -> None:
    (worker,) = children(two_processes.process.pid)
    two_processes.process.kill()
    two_processes.process.wait()
    until(lambda: not is_there(worker), 10, lambda: "the worker is still there")


def test_counts_never_fall_while_a_process_is_stopped(two_processes: Any) -> None:
    (worker,) = children(two_processes.process.pid)
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            connection = stack.enter_context(closing(two_processes.connect()))
            send_request(connection, "POST", "/predict", ROW)
    assert count(two_processes, 'tidegate_server_requests_total{code="200"') == CONNECTIONS
    os.kill(worker, signal.SIGSTOP)
    began = monotonic()
    assert count(two_processes, 'tidegate_server_requests_total{code="200"') == CONNECTIONS
    assert monotonic() - began < 3
    os.kill(worker, signal.SIGCONT)


def test_a_larger_model_has_one_process(start: Any, slow: Path) -> None:
    server = start(slow, TIDEGATE_PROCESSES="Auto")
    assert children(server.process.pid) == []
