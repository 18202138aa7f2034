"""Waits until an API server serves CRDs, for tests and benchmarks."""

import time
from collections.abc import Callable
from subprocess import CompletedProcess

from benchmarks.errors import BenchmarkError

WITHIN_SECONDS = 60.0
PAUSE = 0.2
UNREAD = "conditions accessor error"
"""What kubectl 1.37 says of a CRD whose first condition the API server hasn't written yet; it doesn't wait for it."""


def until_established(kubectl: Callable[..., "CompletedProcess[str]"], *crds: str) -> None:
    """`kubectl` runs with the arguments that it gets; of `crd/NAME`s, or all. Raises BenchmarkError."""
    which, ends = crds or ("crd", "--all"), time.monotonic() + WITHIN_SECONDS
    while True:
        done = kubectl("wait", "--for=condition=Established", *which, f"--timeout={WITHIN_SECONDS:.0f}s")
        if done.returncode == 0:
            return
        if UNREAD not in done.stderr or time.monotonic() > ends:
            raise BenchmarkError(f"the CRDs aren't served: {done.stderr.strip()}")
        time.sleep(PAUSE)
