"""One of several processes: `python -m tidegate_server.processes.sibling`, started by the first one only.

It serves HTTP on the same port and nothing else: gRPC, metrics and the plan are the first one's.
"""

import logging
import os
import sys
from dataclasses import replace
from multiprocessing.connection import Connection
from threading import Thread

from tidegate_server.processes.siblings import DESCRIPTOR, LISTEN, SNAPSHOT, WARM
from tidegate_server.serving import Role, Server, prepare_sibling, serve_prepared


def main() -> int:
    """The exit code."""
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    line = Connection(int(os.environ.pop(DESCRIPTOR)))
    _, settings, plan = line.recv()
    prepared = prepare_sibling(settings, plan)
    line.send(WARM)
    word, port = line.recv()
    if word != LISTEN:
        return 1
    return serve_prepared(prepared, replace(settings, port=port), Role.SIBLING, lambda server: _listen_to(line, server))


def _listen_to(line: Connection, server: Server) -> None:
    """Answers questions until the first process is gone, and then ends too."""

    def answer() -> None:
        try:
            while True:
                word, number = line.recv()
                if word == SNAPSHOT:
                    line.send((number, server.inference.metrics.snapshot()))
        except (EOFError, OSError):
            server.loop.call_soon_threadsafe(server.begin_hurried_drain)

    Thread(target=answer, name="line", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
