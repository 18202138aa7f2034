"""schemathesis in front of running servers: it asks what their OpenAPI documents allow, and a bit beyond.

It checks every answer's status, type and body against the document.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.progress import Progress
from benchmarks.server.server_process import ServerProcess
from benchmarks.server_trials.models import every_datatype, readings, with_inputs, with_known_ids
from benchmarks.server_trials.server_under_test import faults, start_tidegate

ROOT = Path(__file__).resolve().parents[2]
CONFIG = Path(__file__).with_name("schemathesis.toml")
SENTIMENT = ROOT / "examples/sentiment/model/model.onnx"
LONGEST_SECONDS = 1800
LAST_LINES = 60
_CASES = re.compile(r"(\d[\d,]*) generated")
_OPERATIONS = re.compile(r"Tested: (\d+)")


@dataclass(frozen=True)
class Conformance:
    """One server's run. `complaint` is schemathesis' own words, '' when it found nothing."""

    model: str
    operations: int
    cases: int
    complaint: str
    faults: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Something was tried, and nothing was found."""
        return not self.complaint and not self.faults and self.operations > 0 and self.cases > 0


def models(folder: Path) -> dict[str, Path]:
    """By what they are; the one with text and labels only where the repository has it."""
    mixed: list[tuple[str, str, list[int | str]]] = [
        ("age", "INT64", ["N", 1]),
        ("place", "FP32", ["N", 2]),
        ("city", "BYTES", ["N"]),
        ("member", "BOOL", ["N"]),
    ]
    found = {
        "one input of any width": readings(folder),
        "every datatype": every_datatype(folder),
        "four kinds of input": with_inputs(folder, "mixed", mixed),
    }
    return {**found, "text and labels": with_known_ids(SENTIMENT, folder)} if SENTIMENT.is_file() else found


def conformance(folder: Path, examples: int, seed: int, progress: Progress) -> Iterator[Conformance]:
    """`examples` for each operation and each phase of schemathesis. Raises BenchmarkError."""
    for what, model in models(folder).items():
        with start_tidegate(model, {"TIDEGATE_PROCESSES": "1"}) as server:
            progress.note(f"schemathesis: {what}")
            yield check(server, what, folder, examples, seed)


def check(server: ServerProcess, what: str, folder: Path, examples: int, seed: int) -> Conformance:
    """One running server, which has to be there afterwards."""
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        f"--config-file={CONFIG}",
        "--no-color",
        "run",
        f"http://127.0.0.1:{server.port}/openapi.json",
        f"--max-examples={examples}",
        f"--seed={seed}",
        "--generation-database=none",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_SECONDS, cwd=folder, check=False)
    complaint = "" if done.returncode == 0 else "\n".join((done.stdout + done.stderr).splitlines()[-LAST_LINES:])
    if server.has_ended:
        complaint = f"the server died: {server.last_log_line()}\n{complaint}"
    return Conformance(what, _number(_OPERATIONS, done.stdout), _number(_CASES, done.stdout), complaint, faults(server))


def _number(pattern: "re.Pattern[str]", text: str) -> int:
    found = pattern.search(text)
    return int(found[1].replace(",", "")) if found else 0
