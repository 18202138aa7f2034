"""How much memory a process holds, over time, and whether that is flat."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

_BARS = "▁▂▃▄▅▆▇█"
SETTLED_SHARE = 0.2
"""Of the time: minute 2 of 10. Before it, caches and arenas fill for the first time."""
PARTS = 10
"""Of the time, which are held against each other: minutes of ten. In less, bodies that are under way by chance tell."""
FLAT_SHARE = 0.05


@dataclass(frozen=True)
class Sample:
    """`seconds` since the load began; resident bytes of the server: the median of some readings, and their range."""

    seconds: float
    bytes: int
    least: int
    most: int


@dataclass(frozen=True)
class Flatness:
    """Of the settled time: least and most part in bytes, and of all single readings the least and the most.

    `spread` is the parts' difference as a share of the least; `drift` is that of the last fifth's median to the
    first one's.
    """

    least: int
    most: int
    least_reading: int
    most_reading: int
    spread: float
    drift: float

    @property
    def is_flat(self) -> bool:
        """Whether the settled parts lie within 5 %."""
        return self.spread <= FLAT_SHARE


def flatness(samples: Sequence[Sample], seconds: float) -> Flatness:
    """Of the samples after the first fifth of `seconds`. Raises ValueError when there are none."""
    settled = [sample for sample in samples if sample.seconds >= SETTLED_SHARE * seconds]
    if not settled:
        raise ValueError("no sample was taken in the settled time")
    parts: dict[int, list[int]] = {}
    for sample in settled:
        parts.setdefault(int(sample.seconds * PARTS / seconds), []).append(sample.bytes)
    sizes = [int(median(part)) for part in parts.values()]
    fifth = max(1, len(sizes) // 4)  # the settled time is four fifths
    return Flatness(
        least=min(sizes),
        most=max(sizes),
        least_reading=min(sample.least for sample in settled),
        most_reading=max(sample.most for sample in settled),
        spread=max(sizes) / min(sizes) - 1,
        drift=median(sizes[-fifth:]) / median(sizes[:fifth]) - 1,
    )


def sparkline(values: Sequence[float]) -> str:
    """From zero, so that a flat line looks flat."""
    most = max(values, default=0) or 1
    return "".join(_BARS[min(len(_BARS) - 1, int(value / most * len(_BARS)))] for value in values)


def resident_bytes(pid: int) -> int:
    """Of the process and all that it started; 0 for one that has ended."""
    return sum(_resident(process) for process in (pid, *_descendants(pid)))


def cpu_seconds(pid: int) -> float:
    """Used so far by the process and all that it started."""
    return sum(_cpu(process) for process in (pid, *_descendants(pid)))


def _resident(pid: int) -> int:
    for line in _read(pid, "status").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def _cpu(pid: int) -> float:
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100 if fields else 0.0


def _descendants(pid: int) -> list[int]:
    children = [int(child) for child in _read(pid, f"task/{pid}/children").split()]
    return [one for child in children for one in (child, *_descendants(child))]


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""
