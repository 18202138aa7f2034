"""A model served on this machine for as long as it is asked."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import socket
from time import monotonic, sleep
from urllib.error import URLError
from urllib.request import urlopen

from settings import WORK, Refused

LOOPBACK = "127.0.0.1"
START_SECONDS, STOP_SECONDS, LOOK_SECONDS = 180, 15, 0.2


@contextmanager
def served(folder: Path, name: str = "model") -> Iterator[tuple[str, str]]:
    """Where it answers HTTP and gRPC. `name` is the model's in paths. Raises Refused where it doesn't start."""
    if not folder.is_dir():
        raise Refused(f"{folder} isn't there; run the stages before this one")
    http, grpc, admin = free_ports(3)
    ports = ("--port", str(http), "--grpc-port", str(grpc), "--admin-port", str(admin))
    command = [sys.executable, "-m", "tidegate_server", "serve", "--model", str(folder), "--name", name, *ports]
    log = WORK / f"{folder.name}.log"
    with log.open("wb") as output:
        environment = {**os.environ, "TIDEGATE_HOST": LOOPBACK, "TIDEGATE_TERMINATION_LOG": str(WORK / "ended.json")}
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        _wait(process, f"http://{LOOPBACK}:{http}/v2/health/ready", folder, log)
        yield f"http://{LOOPBACK}:{http}", f"{LOOPBACK}:{grpc}"
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_ports(count: int) -> list[int]:
    """Of the loopback, that nobody listens on now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _wait(process: "subprocess.Popen[bytes]", url: str, folder: Path, log: Path) -> None:
    deadline = monotonic() + START_SECONDS
    while monotonic() < deadline:
        if process.poll() is not None:
            lines = log.read_text(errors="replace").strip().splitlines() or ["its log is empty"]
            raise Refused(f"the model in {folder} can't be served: {lines[-1]}")
        try:
            with urlopen(url, timeout=2):
                return
        except (URLError, OSError):
            sleep(LOOK_SECONDS)
    raise Refused(f"the model in {folder} wasn't ready after {START_SECONDS} s; see {log}")
