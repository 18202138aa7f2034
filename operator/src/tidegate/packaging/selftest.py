"""The model asked its self-test, before it is packaged."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from tidegate.errors import TidegateError
from tidegate.packaging.context import SELFTEST

LONGEST_SECONDS = 600


def check_model(folder: Path) -> str:
    """Opens the model and runs its self-test; where it has none, one of what it answers now is written beside it.

    What came of it, in a sentence. Raises TidegateError where the model can't be served as it should.
    """
    if find_spec("tidegate_server") is None:
        return "The model wasn't opened: the model server isn't installed here (pip install 'tidegate[package]')."
    is_new = not any(folder.rglob(SELFTEST))
    command = [sys.executable, "-m", "tidegate_server", "selftest", "--model", str(folder)]
    done = subprocess.run(
        [*command, "--write"] if is_new else command, capture_output=True, text=True, timeout=LONGEST_SECONDS
    )
    last = (done.stdout.strip() or done.stderr.strip() or "it says nothing").splitlines()
    if done.returncode:
        raise TidegateError(f"the model isn't packaged: {last[0] if done.stdout.strip() else last[-1]}")
    return f"A {SELFTEST} of what the model answers now is in the image." if is_new else f"Self-test: {last[-1]}."
