"""What came of the same bad release by each controller."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FLAGGER = "Flagger"
TIMES_FASTER = 8
_FILE = "beside-flagger.json"


@dataclass(frozen=True)
class Release:
    """One bad release. `seconds` is from the first bad answer to the last; the bad model answered `served`."""

    by: str
    seconds: float
    bad: int
    served: int
    sent: int
    lost: int
    why: str = ""
    """Each reason of a loss with its count, such as `3 timeout`."""


def write(releases: Sequence[Release], folder: Path) -> None:
    """For the page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _FILE).write_text(json.dumps([asdict(each) for each in releases], indent=1))


def read(folder: Path) -> list[Release]:
    """Of the last run; none where there hasn't been one."""
    place = folder / _FILE
    return [Release(**each) for each in json.loads(place.read_text())] if place.exists() else []
