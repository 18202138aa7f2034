"""What the server costs: requests/s and p50 over HTTP against the bare session, on the same model and the same row.

    python server/benchmarks/overhead.py model.onnx --clients 4 --seconds 5

Starts its own server on a loopback port. Client and server share this machine's cores, so the ratio is a lower bound.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic, perf_counter, sleep

from tidegate_server.model import Model
from tidegate_server.signature import blank_inputs

START_SECONDS = 30


def main() -> None:
    parser = argparse.ArgumentParser(description="The server's overhead over the bare runtime.")
    parser.add_argument("model", type=Path)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    model = Model.open(options.model)
    outputs = tuple(spec.name for spec in model.signature.outputs)
    inputs = blank_inputs(model.signature)
    bare = measure(lambda: lambda: model.run(inputs, outputs), options.clients, options.seconds)
    body = json.dumps({"inputs": {name: array.tolist() for name, array in inputs.items()}}).encode()
    port = _free_port()
    command = [sys.executable, "-m", "tidegate_server", "serve", "--model", str(options.model)]
    server = subprocess.Popen([*command, "--host", "127.0.0.1", "--port", str(port)], env=os.environ)
    try:
        _wait_for(port)
        served = measure(lambda: _asker(port, body), options.clients, options.seconds)
    finally:
        server.terminate()
        server.wait()
    for name, (rate, p50) in {"session.run": bare, "HTTP /predict": served}.items():
        sys.stdout.write(f"{name:14} {rate:9.0f} /s   p50 {p50 * 1000:.3f} ms\n")
    sys.stdout.write(f"{'ratio':14} {served[0] / bare[0]:9.1%}      p50 {served[1] / bare[1]:.1f} x\n")


def measure(make: Callable[[], Callable[[], object]], clients: int, seconds: float) -> tuple[float, float]:
    """Calls per second of all clients together, and the median time of a call in seconds."""
    times: list[list[float]] = [[] for _ in range(clients)]

    def client(mine: list[float]) -> None:
        call, end = make(), monotonic() + seconds
        while monotonic() < end:
            began = perf_counter()
            call()
            mine.append(perf_counter() - began)

    threads = [threading.Thread(target=client, args=(mine,)) for mine in times]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = [one for mine in times for one in mine]
    return len(everything) / seconds, statistics.median(everything)


def _asker(port: int, body: bytes) -> Callable[[], object]:
    connection = HTTPConnection("127.0.0.1", port)

    def ask() -> object:
        connection.request("POST", "/predict", body)
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise SystemExit(answer.decode())
        return answer

    return ask


def _wait_for(port: int) -> None:
    deadline = monotonic() + START_SECONDS
    while monotonic() < deadline:
        try:
            with closing(socket.create_connection(("127.0.0.1", port), 1)):
                return
        except OSError:
            sleep(0.05)
    raise SystemExit("the server didn't start")


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
