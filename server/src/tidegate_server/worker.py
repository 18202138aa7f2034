"""One of several processes behind one port: `python -m tidegate_server.worker`, started by the primary only.

It serves HTTP on the same port and nothing else: gRPC, metrics and the plan are the primary's.
"""

import logging
import os
import sys
from dataclasses import replace
from multiprocessing.connection import Connection
from threading import Thread

from tidegate_server.preparation import prepare_worker
from tidegate_server.processes.workers import DESCRIPTOR, LISTEN, SAMPLES, SNAPSHOT, WARM, Workers
from tidegate_server.serving import Server, serve_prepared
from tidegate_server.settings import LOG_FORMAT
from tidegate_server.wiring import Role


def main() -> int:
    """The exit code."""
    logging.basicConfig(level=logging.WARNING, format=LOG_FORMAT, stream=sys.stderr)
    pipe = Connection(int(os.environ.pop(DESCRIPTOR)))
    settings, findings = pipe.recv()
    prepared = prepare_worker(settings, findings)
    pipe.send(WARM)
    message, port = pipe.recv()
    if message != LISTEN:
        return 1
    settings = replace(settings, port=port)
    return serve_prepared(prepared, settings, Role.WORKER, Workers(), lambda server: _follow(pipe, server))


def _follow(pipe: Connection, server: Server) -> None:
    """Sends snapshots until the primary is gone, and then ends too."""

    def run() -> None:
        try:
            while True:
                message, number, *arguments = pipe.recv()
                if message == SNAPSHOT:
                    pipe.send((number, server.parts.inference.metrics.snapshot()))
                elif message == SAMPLES:
                    samples = server.parts.telemetry.samples
                    pipe.send((number, samples.take(*arguments) if samples else []))
        except (EOFError, OSError):
            server.loop.call_soon_threadsafe(server.begin_hurried_drain)

    Thread(target=run, name="primary", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
