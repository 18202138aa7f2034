"""kubectl as a function, and port-forwards that stay open while this program runs."""

import atexit
import re
import select
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO, Protocol

from tidegate_demo.cluster.errors import ClusterError

FORWARDED_WITHIN = 20.0  # seconds


class Target(Protocol):
    """Which cluster kubectl talks to."""

    @property
    def kubeconfig(self) -> Path: ...

    @property
    def context(self) -> str | None: ...


def kubectl_program() -> Path:
    """kubectl from the Python environment that this demo runs in, which brings its own, or from PATH."""
    beside = Path(sys.executable).parent / "kubectl"
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None:
        raise ClusterError("kubectl is missing; run `uv sync --all-packages` again")
    return Path(found)


def kubectl(target: Target, *arguments: str, given: str | None = None) -> str:
    """Runs kubectl with `given` as its input; returns what it prints. Raises ClusterError with what it complains of."""
    command = (*_command(target), *arguments)
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"`kubectl {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout


def _command(target: Target) -> tuple[str, ...]:
    context = ("--context", target.context) if target.context else ()
    return (str(kubectl_program()), "--kubeconfig", str(target.kubeconfig), *context)


class Forwards:
    """Ports of this machine that lead to Services of a cluster. Each is opened once, and again if it broke."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._open: dict[tuple[str, str, int], tuple[subprocess.Popen[str], str]] = {}

    def address(self, namespace: str, service: str, port: int) -> str:
        """A base URL on this machine; goes to one pod of the Service, as kubectl's port-forward does."""
        key = (namespace, service, port)
        process, address = self._open.get(key, (None, ""))
        if process is None or process.poll() is not None:
            self._open[key] = process, address = self._forward(*key)
            atexit.register(_end, process)
        return address

    def close(self) -> None:
        for process, _ in self._open.values():
            _end(process)
        self._open.clear()

    def _forward(self, namespace: str, service: str, port: int) -> tuple[subprocess.Popen[str], str]:
        arguments = ("--namespace", namespace, "port-forward", f"service/{service}", f":{port}")
        command = (*_command(self._target), *arguments)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None  # noqa: S101 - PIPE was asked for
        line = _first_line(process.stdout, FORWARDED_WITHIN)
        local = forwarded_port(line)
        if local is None:
            _end(process)
            raise ClusterError(f"kubectl could not forward a port to service {namespace}/{service}")
        return process, f"http://127.0.0.1:{local}"


def forwarded_port(line: str) -> int | None:
    """The local port in kubectl's `Forwarding from 127.0.0.1:41234 -> 8080`. Pure."""
    match = re.search(r"127\.0\.0\.1:(\d+) ->", line)
    return int(match[1]) if match else None


def _first_line(stream: IO[str], seconds: float) -> str:
    readable, _, _ = select.select([stream], [], [], seconds)
    return stream.readline() if readable else ""


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
