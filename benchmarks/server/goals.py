"""What the server set out to reach, and by how much it does. Pure."""

from dataclasses import dataclass

from benchmarks.server.results import Results, Row
from benchmarks.server.setups import TIDEGATE

PROTOCOLS = ("JSON", "binary")
TIMES_THE_BEST_PEER = {"S": 8.0, "M": 1.5}
SHARE_OF_RAW = {"S": 0.30, "M": 1.50, "L": 0.95}
RUN_TIMES, MORE_MS = 2.0, 3.0


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
        found = (_against_peers(results, row), _against_raw(results, row), _tail(results, row))
        goals += [goal for goal in found if goal is not None]
    return goals


def _against_peers(results: Results, row: Row) -> Goal | None:
    """Against the fastest peer in whichever protocol it is fastest."""
    wanted = TIMES_THE_BEST_PEER.get(row.size)
    peer = results.best(row.size, beside=TIDEGATE)
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
    wanted = RUN_TIMES * run_ms + MORE_MS
    words = f"p99 at 70 % of its saturation at most {wanted:.2f} ms"
    if row.paced.failed or row.paced.p99_ms == 0:
        return Goal(row.size, row.protocol, words, f"{row.paced.failed} failed", 0.0)
    return Goal(row.size, row.protocol, words, f"{row.paced.p99_ms:.2f} ms", wanted / row.paced.p99_ms)


def _counted(row: Row) -> float:
    """A server that fails some requests reaches nothing."""
    return 0.0 if row.failed else row.per_second
