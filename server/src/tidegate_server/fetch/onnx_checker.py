"""Runs ONNX's own checker on a model, in a process of its own: it parses what strangers wrote, in C++.

Operators of domains that the checker has no definitions of (`ai.onnx.contrib` and `com.microsoft.extensions` of
onnxruntime-extensions, `com.microsoft` of the runtime) are passed over; whether they exist, the runtime says.
"""

import json
import logging
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tidegate_server.errors import FetchFailed, one_line
from tidegate_server.fetch.report import UNSUPPORTED_MODEL

log = logging.getLogger(__name__)

MAX_BYTES = 2**31 - 1
"""Protobuf reads no longer message. Weights in files of their own don't count."""
MAX_SECONDS = 300.0


def check_graph(model: Path, how: str) -> None:
    """`how`: `Auto`, `refuse`, `warn` or `off`. Raises FetchFailed for a fault, where it's to be refused.

    With `Auto` only what the checker can't read at all is: of the rest the runtime says next whether it opens it.
    """
    fault = _fault(model) if how != "off" else None
    if fault is None:
        return
    sentence = f"the model breaks the rules of ONNX: {fault.words}"
    if how == "refuse" or (how == "Auto" and fault.fatal):
        raise FetchFailed(UNSUPPORTED_MODEL, f"{sentence}; export it again, or let it in by TIDEGATE_CHECK_MODEL=warn")
    log.warning("%s", sentence)


@dataclass(frozen=True)
class _Fault:
    """The checker's words. `fatal`: it couldn't even read the model."""

    words: str
    fatal: bool = False


def _fault(model: Path) -> _Fault | None:
    """None when the checker finds no fault, or couldn't run, which is logged."""
    size = model.stat().st_size
    if size > MAX_BYTES:
        log.warning("the graph isn't checked: it has %d bytes, and protobuf reads no more than %d", size, MAX_BYTES)
        return None
    command = [sys.executable, "-m", __name__, str(model)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MAX_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        log.warning("the graph isn't checked: ONNX's checker wasn't done after %.0f s", MAX_SECONDS)
        return None
    try:
        result = json.loads(done.stdout)
    except ValueError:
        return _Fault(f"its checker ended with exit code {done.returncode} over it", fatal=True)
    if result["skipped"]:
        log.warning("the graph isn't checked: %s", result["skipped"])
    return _Fault(result["fault"]) if result["fault"] else None


def _run_checker(model: str) -> dict[str, str | None]:
    try:
        from onnx import checker
    except ImportError:
        return {"skipped": "the Python package onnx isn't installed", "fault": None}
    try:
        checker.check_model(model)
    except Exception as error:  # noqa: BLE001 - whatever it throws is what it has to say
        return {"skipped": None, "fault": one_line(error, 400)}
    return {"skipped": None, "fault": None}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_run_checker(sys.argv[1])))
