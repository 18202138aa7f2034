"""What the figures come to, and what they were to come to. Pure."""

from dataclasses import dataclass

from benchmarks.markdown import met, table

POD_KIB = 4.0
LESS = 8.0


@dataclass(frozen=True)
class Memory:
    """Bytes above those of a process that follows nothing yet."""

    held: int
    """After the first list."""
    list: int
    """The most while the first list came."""
    relist: int
    """The most while it was listed anew and nothing had changed."""
    changed: int
    """The same, and every pod had changed."""


@dataclass(frozen=True)
class Footprint:
    """The same, as Python counts what it allocates and as the kernel counts the process."""

    traced: Memory
    resident: Memory


@dataclass(frozen=True)
class Results:
    """Of so many pods. Without an earlier commit nothing is compared."""

    pods: int
    present: Footprint
    earlier: Footprint | None
    commit: str


@dataclass(frozen=True)
class Goal:
    """What was to be reached, and the figure."""

    words: str
    figure: str
    met: bool


def goals(results: Results) -> list[Goal]:
    """Every goal for which there are figures."""
    held, relist = results.present.traced.held, results.present.traced.relist
    of_a_pod = held / results.pods / 1024
    found = [
        Goal(f"a pod takes at most {POD_KIB:g} KiB", f"{of_a_pod:.1f} KiB", of_a_pod <= POD_KIB),
        Goal("a relist takes less than a second copy", f"{_mib(relist - held)} more", relist - held < held),
    ]
    if results.earlier:
        for how, before, now in (
            ("allocated", results.earlier.traced, results.present.traced),
            ("resident", results.earlier.resident, results.present.resident),
        ):
            ratio = before.held / now.held
            found.append(Goal(f"{how}: at least {LESS:g}× less than before", f"{ratio:.1f}×", ratio >= LESS))
    return found


def report(results: Results) -> str:
    """The page's part: a table of figures, and one of goals."""
    rows = [["", "held", "of a pod", "most: first list", "most: relist", "most: relist, all changed"]]
    for name, footprint in (("now", results.present), (f"at {results.commit}", results.earlier)):
        if footprint:
            rows.append(_row(f"{name}, allocated", footprint.traced, results.pods))
            rows.append(_row(f"{name}, resident", footprint.resident, results.pods))
    judged = [["goal", "figure", "verdict"], *([goal.words, goal.figure, met(goal.met)] for goal in goals(results))]
    return f"{results.pods:,} pods.\n\n{table(rows, labels=1)}\n\n{table(judged, labels=2)}\n"


def _row(name: str, memory: Memory, pods: int) -> list[str]:
    peaks = (memory.list, memory.relist, memory.changed)
    return [name, _mib(memory.held), f"{memory.held / pods / 1024:.1f} KiB", *map(_mib, peaks)]


def _mib(size: int) -> str:
    return f"{size / 1024 / 1024:.1f} MiB"
