"""Starts a server as a process, waits until it answers rightly, and ends it and everything that it started."""

import http.client
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from benchmarks.errors import BenchmarkError
from benchmarks.programs import free_ports
from benchmarks.server.protocols import InferenceRequest, Prediction, Protocol
from benchmarks.server.setups import LaunchContext, ServerSetup, quiet_environment

START_SECONDS = 300.0
STOP_SECONDS = 3.0
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class ServerProcess:
    """A server that was started; its process leads a group of its own. `log` is what it wrote."""

    setup: ServerSetup
    context: LaunchContext
    popen: "subprocess.Popen[bytes]"
    log: Path

    @property
    def port(self) -> int:
        """Of HTTP."""
        return self.context.port

    @property
    def grpc_port(self) -> int:
        """Where the server has gRPC."""
        return self.context.more_ports[0]

    @property
    def admin_port(self) -> int:
        """Of metrics, where the server has a port for them."""
        return self.context.more_ports[1]

    @property
    def address(self) -> str:
        """`host:port` of HTTP."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Without a path."""
        return f"http://{self.address}"

    @property
    def pid(self) -> int:
        """Of the process that was started; its workers have others."""
        return self.popen.pid

    @property
    def has_ended(self) -> bool:
        """Whether the process that was started is gone."""
        return self.popen.poll() is not None

    def last_log_line(self) -> str:
        """What it wrote last, or that it wrote nothing."""
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1][-300:] if lines else "it wrote nothing"


@contextmanager
def start_server(setup: ServerSetup, name: str, model: Path) -> Iterator[ServerProcess]:
    """The server, listening. Raises BenchmarkError when it ends instead or never listens."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        port, *more = free_ports(3)
        context = LaunchContext(name, model, port, (more[0], more[1]), Path(folder))
        launch = setup.launch(context)
        log = Path(folder) / "server.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                launch.command,
                cwd=folder,
                env=quiet_environment(launch.environment),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        server = ServerProcess(setup, context, process, log)
        try:
            _wait_until_it_listens(server)
            yield server
        finally:
            _end(process)


def wait_until_it_answers(server: ServerProcess, request: InferenceRequest) -> None:
    """A server that listens before its model is there refuses for a while, each in its own way."""
    deadline = monotonic() + START_SECONDS
    while monotonic() < deadline:
        if server.has_ended:
            raise BenchmarkError(f"{server.setup} ended with {server.popen.returncode}: {server.last_log_line()}")
        status, body, _ = _post(server, request)
        if status == 200:
            return
        sleep(POLL_SECONDS)
    raise BenchmarkError(f"{server.setup} never answered: the last was {status} {_words(body)}")


def objection(server: ServerProcess, protocol: Protocol, request: InferenceRequest, expected: Prediction) -> str | None:
    """Why this protocol can't be measured here, or None when the answer is the bare runtime's."""
    status, body, headers = _post(server, request)
    if status != 200:
        return f"not offered ({status}: {_words(body)})"
    try:
        wrong = protocol.read(body, headers).differs(expected)
    except (BenchmarkError, ValueError, KeyError) as error:
        return f"unreadable ({type(error).__name__}: {error})"
    return f"wrong ({wrong})" if wrong else None


def _words(body: bytes) -> str:
    return " ".join(body.decode(errors="replace").split())[:120]


def _post(server: ServerProcess, request: InferenceRequest) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=START_SECONDS)
    try:
        connection.request("POST", request.path, request.body, request.headers)
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, response.read(), headers
    except (OSError, http.client.HTTPException) as error:
        return 0, f"{type(error).__name__}: {error}".encode(), {}
    finally:
        connection.close()


def _wait_until_it_listens(server: ServerProcess) -> None:
    deadline = monotonic() + START_SECONDS
    while monotonic() < deadline:
        if server.has_ended:
            raise BenchmarkError(f"{server.setup} ended with {server.popen.returncode}: {server.last_log_line()}")
        try:
            with closing(socket.create_connection(("127.0.0.1", server.port), 1)):
                return
        except OSError:
            sleep(POLL_SECONDS)
    raise BenchmarkError(f"{server.setup} didn't listen within {START_SECONDS:.0f} s: {server.last_log_line()}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """The whole group: some servers leave their workers behind."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
