"""Whether the memory that a process holds is flat over time. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
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
