"""What the server set out to reach, and by how much it does. Pure."""

from dataclasses import dataclass
from statistics import median

from benchmarks.server.results import Results, Row, ratios
from benchmarks.server.setups import BEFORE, TIDEGATE

PROTOCOLS = ("JSON", "binary", "text")
TIMES_THE_BEST_PEER = {"S": 12.0, "M": 1.9}
TIMES_BEFORE = {"S": 1.6, "T": 3.0}
SHARE_OF_RAW = {"S": 0.35, "M": 1.50, "L": 0.95}
LATEST = {"S": (2.0, 3.0), "M": (3.0, 0.0), "L": (2.0, 3.0)}
"""Of the p99 at a fixed rate: so many times a run, and so many ms more."""


@dataclass(frozen=True)
class Goal:
    """`reached` is the figure over the goal: 1 and more is met, also where less is better."""

    size: str
    protocol: str
    words: str
    seen: str
    reached: float

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        return self.reached >= 1

    @property
    def verdict(self) -> str:
        """In words, with how much there is to spare or missing."""
        by = abs(self.reached - 1)
        return f"met, {by:.0%} to spare" if self.met else f"not met, {by:.0%} short"


def judge(results: Results) -> list[Goal]:
    """Every goal for which there are figures, in each protocol."""
    goals: list[Goal] = []
    for row in results.rows:
        if row.server != TIDEGATE or row.protocol not in PROTOCOLS or row.note:
            continue
        found = (
            _against_before(results, row),
            _against_peers(results, row),
            _against_raw(results, row),
            _tail(results, row),
        )
        goals += [goal for goal in found if goal is not None]
    return goals


def _against_before(results: Results, row: Row) -> Goal | None:
    wanted, before = TIMES_BEFORE.get(row.size), results.row(row.size, BEFORE, row.protocol)
    if wanted is None or before is None or before.note:
        return None
    times = median(ratios(row, before) or [0.0])
    return Goal(row.size, row.protocol, f"at least {wanted:g}× {before.setting}", f"{times:.2f}×", times / wanted)


def _against_peers(results: Results, row: Row) -> Goal | None:
    """Against the fastest peer in whichever protocol it is fastest."""
    wanted = TIMES_THE_BEST_PEER.get(row.size)
    peer = results.best(row.size, beside=(TIDEGATE, BEFORE))
    if wanted is None or peer is None or peer.per_second == 0:
        return None
    times = _counted(row) / peer.per_second
    words = f"at least {wanted:g}× the best peer"
    return Goal(row.size, row.protocol, words, f"{times:.1f}× {peer.server} ({peer.protocol})", times / wanted)


def _against_raw(results: Results, row: Row) -> Goal | None:
    limit = results.limit(row.size)
    if limit is None:
        return None
    wanted = SHARE_OF_RAW[row.size]
    share = _counted(row) / limit.per_second
    return Goal(row.size, row.protocol, f"at least {wanted:.0%} of raw", f"{share:.0%}", share / wanted)


def _tail(results: Results, row: Row) -> Goal | None:
    run_ms = results.run_ms(row.size)
    if run_ms is None or row.paced is None:
        return None
    times, more = LATEST[row.size]
    wanted = times * run_ms + more
    words = f"p99 at 70 % of its saturation at most {wanted:.2f} ms"
    if row.paced.failed or row.paced.p99_ms == 0:
        return Goal(row.size, row.protocol, words, f"{row.paced.failed} failed", 0.0)
    return Goal(row.size, row.protocol, words, f"{row.paced.p99_ms:.2f} ms", wanted / row.paced.p99_ms)


def _counted(row: Row) -> float:
    """A server that fails some requests reaches nothing."""
    return 0.0 if row.failed else row.per_second
