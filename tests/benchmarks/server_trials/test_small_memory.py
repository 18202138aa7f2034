"""The trial of a start in little memory: what it says is what was measured."""

from pathlib import Path

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.memory_cgroup import memory_cgroup
from benchmarks.server_trials.models import readings
from benchmarks.server_trials.small_memory import LONGEST_SECONDS, Start, small_memory_report, start_in

LIMIT = 512 * 2**20
GOOD = Start(LONGEST_SECONDS, 300 * 2**20, 400 * 2**20, "off: …", ())


def test_a_server_starts_and_is_asked_within_its_limit(tmp_path: Path) -> None:
    try:
        with memory_cgroup(LIMIT) as cgroup:
            folder = cgroup.folder
    except BenchmarkError as error:
        pytest.skip(str(error))
    assert not folder.exists()
    start = start_in(LIMIT, readings(tmp_path), lambda server: [f"port {server.port} was asked"])
    assert len(start.wrong) == 1
    assert 0 < start.ready_bytes <= start.peak_bytes <= LIMIT
    assert start.batching.startswith("on")


def test_whatever_goes_wrong_is_seen() -> None:
    late = Start(LONGEST_SECONDS + 0.1, 0, 0, "", ())
    wrong = Start(1.0, 0, 0, "", ("output y is 1, the runtime's is 2",))
    assert [start.is_good for start in (GOOD, late, wrong)] == [True, False, False]
    assert [
        [cell.strip() for cell in line.strip("|").split("|")][3:]
        for line in small_memory_report([GOOD, wrong]).splitlines()[2:]
    ] == [
        ["off: …", "exact", "met"],
        ["", "output y is 1, the runtime's is 2", "missed"],
    ]
