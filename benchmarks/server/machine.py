"""What the figures were measured on, and with which versions."""

import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version

from benchmarks.machine import processor, system
from benchmarks.server.peers import Peer


def facts(wrk: str, peers: Iterable[Peer]) -> dict[str, str]:
    """For the report's end; in words."""
    return {
        "cores": f"{os.cpu_count()} × {processor()}",
        "system": f"{system()}, Python {platform.python_version()}",
        "runtime": f"onnxruntime {version('onnxruntime')}, numpy {version('numpy')}",
        "server": f"tidegate-server {version('tidegate-server')}",
        "client": _wrk(wrk),
        **{peer.name: peer.version for peer in peers},
    }


def _wrk(program: str) -> str:
    """wrk has no option that prints its version and ends well; the first line of its usage names it."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    words = (said.stdout or said.stderr).split()
    return " ".join(words[:2]) if words else "wrk"
