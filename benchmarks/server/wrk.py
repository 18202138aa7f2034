"""Drives a server to saturation with wrk, and reads what wrk saw. Every server gets the same client."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.server.results import Load

CONNECTIONS, THREADS = 16, 1
MARK = "WRK-SAW "
_GRACE_SECONDS = 60

# wrk's own text rounds to three digits; this line carries everything it knows.
_SCRIPT = """
wrk.method = "POST"
local function read(path)
  local file = assert(io.open(path, "rb"))
  local content = file:read("*a")
  file:close()
  return content
end
%(headers)s
%(bodies)s
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\\n%(mark)s{"requests":%%d,"microseconds":%%d,"p50":%%d,"p99":%%d,"status":%%d,"broken":%%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"""


def find_wrk() -> str:
    """The path of wrk, installed when that is possible. Raises BenchmarkError."""
    if found := shutil.which("wrk"):
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", "-qq", "wrk"], check=False, stdout=subprocess.DEVNULL)
    if found := shutil.which("wrk"):
        return found
    raise BenchmarkError(
        "the benchmark needs the program wrk: install the package wrk (apt, dnf, brew) and run it again"
    )


_IN_TURN = """
local requests, last = {}, 0
function init()
  for number, path in ipairs({%s}) do requests[number] = wrk.format(nil, nil, nil, read(path)) end
end
function request()
  last = last %% #requests + 1
  return requests[last]
end
"""


def script(bodies: Sequence[Path], headers: dict[str, str]) -> str:
    """wrk's Lua script for one fixed request, or for several in turn."""
    lines = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items())
    paths = [f'"{body}"' for body in bodies]
    # Without a function that is asked for each request, wrk sends the same bytes again and again.
    sent = f"wrk.body = read({paths[0]})" if len(paths) == 1 else _IN_TURN % ", ".join(paths)
    return _SCRIPT % {"bodies": sent, "headers": lines, "mark": MARK}


def drive(wrk: str, url: str, script_file: Path, seconds: float) -> Load:
    """Saturates the URL for that time. Raises BenchmarkError when wrk itself fails."""
    command = [wrk, f"-t{THREADS}", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "--timeout", "30s", "--latency"]
    done = subprocess.run(
        [*command, "-s", str(script_file), url],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + _GRACE_SECONDS,
    )
    return read_output(done.stdout, done.stderr)


def read_output(said: str, complained: str = "") -> Load:
    """Finds the line that the script wrote."""
    for line in said.splitlines():
        if line.startswith(MARK):
            return _load(json.loads(line.removeprefix(MARK)))
    raise BenchmarkError(f"wrk ended without a result: {(complained or said).strip()[-300:]}")


def _load(seen: dict[str, Any]) -> Load:
    failed = seen["status"] + seen["broken"]
    answered = max(0, seen["requests"] - seen["status"])
    return Load(
        per_second=answered / (seen["microseconds"] / 1e6),
        p50_ms=seen["p50"] / 1e3,
        p99_ms=seen["p99"] / 1e3,
        failed=failed,
    )
