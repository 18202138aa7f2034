"""All servers started side by side, each on ports of its own, and ended side by side."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.http_servers.setups import ComparedServer
from benchmarks.server.models import MODELS
from benchmarks.server.protocols import JSON, InferenceRequest, Prediction
from benchmarks.server.runtime import prediction_of
from benchmarks.server.server_process import ServerProcess, objection, start_server, wait_until_it_answers

MODEL = MODELS["S"]
PROTOCOL = JSON
STARTS_AT_ONCE = 4


@dataclass(frozen=True)
class Case:
    """The model, what all servers are asked, and what they have to answer."""

    file: Path
    request: InferenceRequest
    expected: Prediction


def make_case(folder: Path) -> Case:
    """Writes the model into the folder."""
    file = MODEL.write(folder)
    return Case(file, PROTOCOL.ask(MODEL.name, MODEL.row_of_input()), prediction_of(MODEL, file))


@contextmanager
def start_compared(compared: ComparedServer, case: Case) -> Iterator[ServerProcess]:
    """One server that has answered rightly. Raises BenchmarkError."""
    with start_server(compared.setup, MODEL.name, case.file) as server:
        wait_until_it_answers(server, case.request)
        if why := objection(server, PROTOCOL, case.request, case.expected):
            raise BenchmarkError(why)
        yield server


@contextmanager
def side_by_side(all_compared: Sequence[ComparedServer], case: Case) -> Iterator[list[ServerProcess | str]]:
    """Each server's process, or why there is none."""
    stacks = [ExitStack() for _ in all_compared]
    try:
        with ThreadPoolExecutor(STARTS_AT_ONCE) as pool:
            servers = list(pool.map(lambda stack, compared: _start(stack, compared, case), stacks, all_compared))
        yield servers
    finally:
        with ThreadPoolExecutor(max(1, len(stacks))) as pool:
            list(pool.map(ExitStack.close, stacks))


def _start(stack: ExitStack, compared: ComparedServer, case: Case) -> ServerProcess | str:
    try:
        return stack.enter_context(start_compared(compared, case))
    except BenchmarkError as error:
        return str(error)
