"""All fronts started side by side, each on ports of its own, and ended side by side."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.http_servers.contenders import Front
from benchmarks.server.bodies import JSON, Answer, Question
from benchmarks.server.errors import BenchmarkError
from benchmarks.server.models import CLASS, INPUT, MODELS, SCORES
from benchmarks.server.paced import request_bytes
from benchmarks.server.running import Running, objection, running, wait_until_it_answers
from benchmarks.server.runtime import open_session

MODEL = MODELS["S"]
PROTOCOL = JSON
STARTS_AT_ONCE = 4


@dataclass(frozen=True)
class Case:
    """The model, what all fronts are asked, and what they have to answer."""

    file: Path
    question: Question
    expected: Answer

    def request(self, server: Running) -> bytes:
        """As it goes over the wire."""
        return request_bytes(f"127.0.0.1:{server.place.port}", self.question)


def make_case(folder: Path) -> Case:
    """Writes the model into the folder."""
    file, row = MODEL.write(folder), MODEL.row_of_input()
    label, scores = open_session(file, 1).run([CLASS, SCORES], {INPUT: row})
    return Case(file, PROTOCOL.ask(MODEL.name, row), Answer(int(label[0]), scores[0]))


@contextmanager
def started(front: Front, case: Case) -> Iterator[Running]:
    """One front that has answered rightly. Raises BenchmarkError."""
    with running(front.contender, MODEL.name, case.file) as server:
        wait_until_it_answers(server, case.question)
        if why := objection(server, PROTOCOL, case.question, case.expected):
            raise BenchmarkError(why)
        yield server


@contextmanager
def together(fronts: Sequence[Front], case: Case) -> Iterator[list[Running | str]]:
    """For each front its server, or why there is none."""
    stacks = [ExitStack() for _ in fronts]
    try:
        with ThreadPoolExecutor(STARTS_AT_ONCE) as pool:
            servers = list(pool.map(lambda stack, front: _enter(stack, front, case), stacks, fronts))
        yield servers
    finally:
        with ThreadPoolExecutor(max(1, len(stacks))) as pool:
            list(pool.map(ExitStack.close, stacks))


def _enter(stack: ExitStack, front: Front, case: Case) -> Running | str:
    try:
        return stack.enter_context(started(front, case))
    except BenchmarkError as error:
        return str(error)
