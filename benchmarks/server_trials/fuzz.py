"""What nobody should send, to running servers: none may answer with a 5xx, die, or be the worse for it afterwards."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import perf_counter

import uvloop

from benchmarks.errors import BenchmarkError
from benchmarks.http_client import Connection, NoResponse, connect, request_bytes
from benchmarks.processes import own_bytes, peak_bytes
from benchmarks.progress import Progress
from benchmarks.server.server_process import ServerProcess
from benchmarks.server_trials.amount import Amount
from benchmarks.server_trials.malformed import PATHS, Case, Shape, case_for, valid_body
from benchmarks.server_trials.models import with_inputs
from benchmarks.server_trials.requests import end_as
from benchmarks.server_trials.server_under_test import faults, start_tidegate
from tests.server.protocol.example_requests import SIGNATURES
from tidegate_server.protocol.signature import Signature

AT_ONCE = 8
ANSWER_SECONDS = 10.0
CASES_BETWEEN_CHECKS = 500
HELD_BYTES = 16 * 2**20
SETTINGS = {
    "TIDEGATE_MAX_BODY_BYTES": "65536",
    "TIDEGATE_MAX_ELEMENTS": "4096",
    "TIDEGATE_MAX_HELD_BYTES": str(HELD_BYTES),
    "TIDEGATE_PROCESSES": "1",
}
"""Small limits, so that they are met; one process, so that its end is the server's."""
MOST_GROWTH = 3 * HELD_BYTES
"""A request lives as bytes, as values and as arrays at once."""
NOT_IMPLEMENTED, DEADLINE_PASSED = 501, 504


@dataclass
class FuzzResult:
    """What came of the cases. `wrong` has a sentence and the bytes that were sent."""

    cases: Counter[str] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0
    """Connections that were closed without a word: allowed where the client had cut its request off."""
    by_rule: Counter[int] = field(default_factory=Counter)
    """501 for a transfer coding that nobody knows, 504 for a deadline that the case itself set."""
    servers: int = 0
    checks: int = 0
    wrong: list[tuple[str, bytes]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    growth: int = 0
    """Of the peak of a server's memory over its start, in bytes; of the one that grew most."""

    @property
    def is_good(self) -> bool:
        """No wrong answer, no fault, and memory within its bound."""
        return not (self.wrong or self.faults) and self.growth <= MOST_GROWTH


def fuzz_wire(
    folder: Path, amount: Amount, seed: int, progress: Progress, signatures: Sequence[Signature] = tuple(SIGNATURES)
) -> FuzzResult:
    """The amount is shared out among servers, one after the other, each with a model of another signature."""
    result, random = FuzzResult(), Random(seed)
    for number, signature in enumerate(signatures):
        inputs: list[tuple[str, str, list[int | str]]] = [
            (spec.name, spec.datatype, ["N" if size == -1 else size for size in spec.shape])
            for spec in signature.inputs
        ]
        model = with_inputs(folder, f"fuzzed-{number}", inputs)
        with start_tidegate(model, SETTINGS) as server:
            before = own_bytes(server.pid)
            uvloop.run(_fuzz_one(server, signature, amount.part(1 / len(signatures)), result, random))
            result.growth = max(result.growth, peak_bytes(server.pid) - before)
            result.faults += faults(server)
            if server.has_ended:
                raise BenchmarkError(f"seed {seed}: the server died: {server.last_log_line()}")
        result.servers += 1
        progress.note(f"{result.cases.total()} cases, {len(result.wrong)} wrong answers, {len(result.faults)} faults")
    return result


async def _fuzz_one(
    server: ServerProcess, signature: Signature, amount: Amount, result: FuzzResult, random: Random
) -> None:
    until, enough = perf_counter() + amount.seconds, result.cases.total() + amount.requests
    while perf_counter() < until and result.cases.total() < enough and not server.has_ended:
        cases = [case_for(signature, random) for _ in range(CASES_BETWEEN_CHECKS)]
        waiting = iter(cases)
        await asyncio.gather(*(send_all(server.port, waiting, result, until) for _ in range(AT_ONCE)))
        await _check_that_it_still_answers(server.port, signature, result)


async def send_all(port: int, cases: Iterator[Case], result: FuzzResult, until: float) -> None:
    """Each case on a connection of its own. Several of these share one iterator."""
    for case in cases:
        if perf_counter() > until:
            return
        result.cases[case.way.value] += 1
        try:
            connection = await connect(port)
        except OSError as error:
            result.wrong.append((f"no connection: {type(error).__name__}", case.data))
            continue
        try:
            await _try(connection, case, result)
        finally:
            connection.close()


async def _try(connection: Connection, case: Case, result: FuzzResult) -> None:
    if case.shape is Shape.IN_PIECES:
        for at in range(0, len(case.data), 7):
            await connection.send(case.data[at : at + 7])
            await asyncio.sleep(0)
    else:
        await connection.send(case.data)
    if end_as(case.end, connection):
        await _read_all(connection, case, result)


async def _read_all(connection: Connection, case: Case, result: FuzzResult) -> None:
    """What was sent may be several requests; every answer counts, until the server ends the connection."""
    answers = 0
    has_body = not case.data.lstrip().startswith(b"HEAD")
    while True:
        try:
            response = await connection.response(has_body=has_body, patience=ANSWER_SECONDS)
        except NoResponse as broken:
            if str(broken) != "the connection ended after 0 bytes of an answer":
                result.wrong.append((str(broken), case.data))
            result.unanswered += not answers
            return
        answers += 1
        result.answers[response.status] += 1
        if response.status >= 500:
            _check_error(response.status, response.body, case, result)
        if response.closes and not has_body:
            return  # a refusal of a head that couldn't be read has a body, whatever the method was


def _check_error(status: int, body: bytes, case: Case, result: FuzzResult) -> None:
    by_rule = (status == DEADLINE_PASSED and case.may_ask_for_a_deadline) or (
        status == NOT_IMPLEMENTED and case.names_a_transfer_coding
    )
    if by_rule:
        result.by_rule[status] += 1
    else:
        result.wrong.append((f"{status} {body[:120]!r}", case.data))


async def _check_that_it_still_answers(port: int, signature: Signature, result: FuzzResult) -> None:
    body = valid_body(signature, Random(1))
    request = request_bytes(PATHS[0], body.body, inference_header_content_length=body.json_bytes)
    result.checks += 1
    sentence = "no connection"
    with suppress(OSError):
        connection = await connect(port)
        try:
            response = await connection.ask(request)
            sentence = f"{response.status} {response.body[:120]!r}"
        except NoResponse as broken:
            sentence = str(broken)
        connection.close()
    if not sentence.startswith("200"):
        result.wrong.append((f"a valid request got {sentence}", request))
