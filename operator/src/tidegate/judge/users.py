"""Where users stay with a revision, the judge's unit is the user: what one of them does is no chance of its own. Pure.

A user who sends a tenth of all requests, and whose requests fail three times as often as others', makes a revision
that has them look worse for as long as it has them. Counters of routers tell requests and not users, so nobody can
learn from stable how users differ. But users who go over bring along what they brought to stable: with a candidate
that is as good, all users together are no worse off than before the rollout. So a rollback needs both: the candidate is
worse than stable by more than is laid to its users, and everybody is worse off than before; or, where
everybody fares far better than before, so that nothing follows from that, it fails beyond what any users explain.

The smaller of two e-values is one wherever either of them is: wrong are both only where the users of the candidate are
unluckier than that and the traffic of all has become worse than it was. ADR 0059 has the figures.
"""

import math
from dataclasses import replace
from datetime import timedelta

from tidegate.judge.arms import Arm, add_ceiling
from tidegate.judge.context import ENOUGH_OF_THE_PAST, at_most
from tidegate.judge.e_process import EProcess, weighted
from tidegate.judge.overdispersion import LARGEST
from tidegate.model.evidence import Overdispersion
from tidegate.model.spec import Margin
from tidegate.model.traffic import Sticky

CLUMP = 5.0
"""The least φ: a user's requests fail together."""
SPREAD = 0.24
"""How far the logarithms of two revisions' rates lie apart by their users alone: times √(1/p + 1/(1 - p)), where the
candidate has the share p of them. At 5 % three times stable's rate is laid to them, at 25 % 1.7 times, at half 1.6."""
MOST_LUCK = 10.0
"""More than that isn't laid to users: it would hide whatever a candidate does."""
FEWEST = 0.01
"""The share below which they are taken for no fewer."""
FAR_BETTER = 0.5
"""Times as many bad requests as before."""
EVERYBODY_UPWARD = weighted(
    (1.1, 1.0), (1.2, 1.5), (1.4, 2.0), (2.0, 2.0), (3.0, 1.5), (5.0, 1.2), (10.0, 1.0), (30.0, 0.8), (100.0, 0.5)
)
"""Of all users few are the candidate's at first, so that what it does to them is little in the whole."""


def luck_of_users(users: float, candidate: float, stable: float) -> float:
    """How many times stable's rate is laid to those who happen to be the candidate's, of so many requests of each."""
    if not users or not stable:
        return 1.0
    share = min(max(candidate / (candidate + stable), FEWEST), 1 - FEWEST)
    return min(MOST_LUCK, math.exp(users * math.sqrt(1 / share + 1 / (1 - share))))


def of_halves(users: float) -> float:
    """The same of a revision that had half of them at most."""
    return luck_of_users(users, 1, 1)


class Everybody:
    """Requests of both arms together against what stable did before: as many bad ones as then, or more."""

    def __init__(self, before: Arm, users: float, phi: float) -> None:
        self.worse = EProcess(EVERYBODY_UPWARD)
        self._highest, self._users, self._phi = at_most(*before, phi), users, phi

    def update(self, candidate: Arm, stable: Arm, margin: Margin, lasted: timedelta | None) -> None:
        """Takes in one increment. The margin is tolerated of the candidate's users, and of what was theirs before."""
        requests = candidate[1] + stable[1]
        if not requests:
            return
        share = candidate[1] / requests
        theirs = min(1.0, luck_of_users(self._users, candidate[1], stable[1]) * share)
        line = self._highest * (1 + (margin.ratio - 1) * theirs) + margin.absolute * share
        add_ceiling(self.worse, min(1.0, line), (candidate[0] + stable[0], requests), self._phi, lasted)

    def fares_better(self, candidate: Arm, stable: Arm) -> bool:
        """Whether so little went wrong in an increment that before is no yardstick: something was broken then."""
        return candidate[0] + stable[0] < FAR_BETTER * self._highest * (candidate[1] + stable[1])


def everybody_of(overdispersion: Overdispersion, before: Arm, phi: float) -> list[Everybody]:
    """One where users stay and enough is known of before; none elsewhere."""
    if not overdispersion.users or before[1] < ENOUGH_OF_THE_PAST:
        return []
    return [Everybody(before, overdispersion.users, phi)]


def as_drawn(learned: Overdispersion, sticky: Sticky | None) -> Overdispersion:
    """What stable has told, where users are drawn, or requests one by one."""
    return by_users(learned) if sticky else learned


def by_users(learned: Overdispersion) -> Overdispersion:
    """What stable has told, and what is taken for granted of users who stay."""
    over_time = learned.latency_over_time
    latency = {q: min(LARGEST, max(phi, over_time.get(q, phi), CLUMP)) for q, phi in learned.latency.items()}
    errors = min(LARGEST, max(learned.errors, learned.errors_over_time, CLUMP))
    return replace(learned, errors=errors, latency=latency, users=SPREAD)
