"""A model served on this machine for as long as it is asked."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from tidegate.rehearsal.processes import LOOPBACK, free_ports, get, wait_or_kill

from settings import WORK, Refused

START_SECONDS, LOOK_SECONDS = 180, 0.2


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
        _wait(process, http, folder, log)
        yield f"http://{LOOPBACK}:{http}", f"{LOOPBACK}:{grpc}"
    finally:
        process.terminate()
        wait_or_kill(process)


def _wait(process: "subprocess.Popen[bytes]", port: int, folder: Path, log: Path) -> None:
    deadline = monotonic() + START_SECONDS
    while monotonic() < deadline:
        if process.poll() is not None:
            lines = log.read_text(errors="replace").strip().splitlines() or ["its log is empty"]
            raise Refused(f"the model in {folder} can't be served: {lines[-1]}")
        if get(port, "/v2/health/ready") is not None:
            return
        sleep(LOOK_SECONDS)
    raise Refused(f"the model in {folder} wasn't ready after {START_SECONDS} s; see {log}")
