"""All fronts started side by side, each on ports of its own, and ended side by side."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.http_servers.setups import Front
from benchmarks.server.models import MODELS
from benchmarks.server.protocols import JSON, Answer, Question
from benchmarks.server.runtime import answer_of
from benchmarks.server.server_process import ServerProcess, objection, start_server, wait_until_it_answers

MODEL = MODELS["S"]
PROTOCOL = JSON
STARTS_AT_ONCE = 4


@dataclass(frozen=True)
class Case:
    """The model, what all fronts are asked, and what they have to answer."""

    file: Path
    question: Question
    expected: Answer


def make_case(folder: Path) -> Case:
    """Writes the model into the folder."""
    file = MODEL.write(folder)
    return Case(file, PROTOCOL.ask(MODEL.name, MODEL.row_of_input()), answer_of(MODEL, file))


@contextmanager
def started(front: Front, case: Case) -> Iterator[ServerProcess]:
    """One front that has answered rightly. Raises BenchmarkError."""
    with start_server(front.setup, MODEL.name, case.file) as server:
        wait_until_it_answers(server, case.question)
        if why := objection(server, PROTOCOL, case.question, case.expected):
            raise BenchmarkError(why)
        yield server


@contextmanager
def together(fronts: Sequence[Front], case: Case) -> Iterator[list[ServerProcess | str]]:
    """For each front its server, or why there is none."""
    stacks = [ExitStack() for _ in fronts]
    try:
        with ThreadPoolExecutor(STARTS_AT_ONCE) as pool:
            servers = list(pool.map(lambda stack, front: _enter(stack, front, case), stacks, fronts))
        yield servers
    finally:
        with ThreadPoolExecutor(max(1, len(stacks))) as pool:
            list(pool.map(ExitStack.close, stacks))


def _enter(stack: ExitStack, front: Front, case: Case) -> ServerProcess | str:
    try:
        return stack.enter_context(started(front, case))
    except BenchmarkError as error:
        return str(error)
