"""Some seconds of the fuzzers, and answers that they have to notice."""

import asyncio
from pathlib import Path
from random import Random
from time import perf_counter

import pytest

from benchmarks.http_client import HOST
from benchmarks.progress import Progress
from benchmarks.server_trials.amount import Amount
from benchmarks.server_trials.fuzz import MOST_GROWTH, FuzzResult, fuzz_wire, send_all
from benchmarks.server_trials.malformed import Case, Way, case_for
from benchmarks.server_trials.models import readings
from benchmarks.server_trials.requests import End
from benchmarks.server_trials.schema import check
from benchmarks.server_trials.server_under_test import start_tidegate
from tests.server.protocol.example_requests import SIGNATURES


def test_nothing_that_is_sent_makes_a_server_fail(tmp_path: Path) -> None:
    result = fuzz_wire(tmp_path, Amount(seconds=4), 1, Progress(1), (SIGNATURES[9], SIGNATURES[-3]))
    assert (result.wrong, result.faults) == ([], [])
    assert result.cases.total() > 100
    assert 0 < result.growth <= MOST_GROWTH
    assert result.answers[400] > 0
    assert result.answers[200] > 0
    assert (result.servers, result.checks >= 2) == (2, True)


def test_a_running_server_is_what_its_document_says(tmp_path: Path) -> None:
    with start_tidegate(readings(tmp_path), {"TIDEGATE_PROCESSES": "1"}) as server:
        told = check(server, "one input of any width", tmp_path, examples=3, seed=1)
    assert told.is_good, told.complaint
    assert told.operations == 17
    assert told.cases > 100


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        pytest.param(b"HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\nno", "500 b'no'", id="an error of its own"),
        pytest.param(b"HTTP/1.1 504 Oh\r\ncontent-length: 2\r\n\r\nno", "504 b'no'", id="a deadline nobody set"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-le", "the connection ended after 27 bytes", id="half an answer"),
    ],
)
def test_a_bad_answer_is_noticed(answer: bytes, sentence: str) -> None:
    async def run() -> FuzzResult:
        async def misbehave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.write(answer)
            writer.close()

        result = FuzzResult()
        async with await asyncio.start_server(misbehave, HOST, 0) as server:
            port = server.sockets[0].getsockname()[1]
            cases = iter([Case(Way.BODY, b"POST / HTTP/1.1\r\n\r\n", End.HALF_CLOSE)])
            await send_all(port, cases, result, perf_counter() + 10)
        return result

    result = asyncio.run(run())
    assert [said[: len(sentence)] for said, _ in result.wrong] == [sentence]
    assert not result.is_good


def test_a_seed_gives_the_same_cases_again() -> None:
    first, again = ([case_for(SIGNATURES[0], random) for _ in range(200)] for random in (Random(3), Random(3)))
    assert first == again
    assert {case.way for case in first} == set(Way)
