"""The parent's side of the load: starts the process, reads its records as they come, ends it.

The process ends when its stdin does, so it can't outlive its parent, however the parent ends.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tidegate_demo.records import Request, from_line
from tidegate_demo.traffic import Orders, to_json

STOP_SECONDS = 15.0


@dataclass
class RunningLoad:
    """A load that has been started. `requests` holds all that has been read of it, in the order of their ends."""

    process: subprocess.Popen[bytes]
    records: Path
    requests: list[Request] = field(default_factory=list)
    _file: IO[bytes] | None = None
    _half_line: bytes = b""

    def read_more(self) -> list[Request]:
        """The requests that ended since the last call; they are added to `requests` too."""
        if self._file is None:
            if not self.records.exists():
                return []
            self._file = self.records.open("rb")
        *lines, self._half_line = (self._half_line + self._file.read()).split(b"\n")
        fresh = [from_line(line) for line in lines]
        self.requests.extend(fresh)
        return fresh

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> None:
        """Waits for the requests that are under way. Calling it twice is fine."""
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.read_more()
        if self._file is not None:
            self._file.close()
            self._file = None


def write_images(path: Path, images: Sequence[Sequence[float]]) -> None:
    path.write_text(json.dumps([[int(pixel) for pixel in image] for image in images]))


def start(orders: Orders) -> RunningLoad:
    records = Path(orders.records_file)
    records.parent.mkdir(parents=True, exist_ok=True)
    records.unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "tidegate_demo.traffic", to_json(orders)],
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is the parent's to handle: the load ends by its stdin, and loses nothing
    )
    return RunningLoad(process, records)
