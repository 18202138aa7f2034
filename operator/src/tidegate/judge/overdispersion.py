"""How much more bad requests come in clumps than chance has it, learned from stable before a rollout. Pure.

The judge's bound needs that one bad request doesn't drag others of the same arm along. Where requests fail or stall in
clumps, dividing the logarithm of each e-value by φ, the size of a clump, makes it valid again: for s ≤ φ,
u^(s/φ) ≤ 1 + (s/φ)(u − 1). φ is estimated as quasi-likelihood has it: the variance that is seen over the one that
chance has. Stable's pods are all the same revision, so what differs between them within one block is no difference of
models (an A/A test); with a single pod, one block is held against the next.

A clump that begins near the end of a block goes on in the next one, and neither shows how large it is. What two
neighbouring blocks have in common, beyond what any two have, is the rest of it.
"""

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from tidegate.judge.e_process import UPWARD, EProcess, e_value, log_e
from tidegate.judge.pods import Tally
from tidegate.model.spec import Margin

Block = Mapping[str, Tally]
"""What each pod of stable did between two points of time."""

CLUMPS_LAST = timedelta(seconds=15)
"""At most: what φ is learned from are blocks of this length, and it is that of sums over them."""
ENOUGH_BAD = 20
"""Bad requests below which nothing is known of clumps."""
LARGEST = 50.0
"""Above it, the environment and not the model is what would be judged."""


@dataclass(frozen=True)
class _Clumps:
    """φ as it is seen within blocks, and what of it neighbouring blocks have in common."""

    within: float
    across: float

    @property
    def phi(self) -> float:
        """Of both. What lies across the ends of blocks is less than half of clumps that are shorter than a block."""
        whole = self.within + min(max(0.0, self.across), max(0.0, self.within - 1))
        return min(LARGEST, max(1.0, whole))


def estimate_overdispersion(blocks: Sequence[Block]) -> float:
    """φ, at least 1: between pods where there are several, else from block to block. 1 where too little is known."""
    if not _is_enough(blocks):
        return 1.0
    return (_between_pods(blocks) or _over_blocks(blocks)).phi


def overdispersion_at_one_time(blocks: Sequence[Block]) -> float:
    """φ between those that counted at one time; 1 where there never were two."""
    seen = _between_pods(blocks) if _is_enough(blocks) else None
    return seen.phi if seen else 1.0


def overdispersion_over_time(blocks: Sequence[Block]) -> float:
    """φ of all pods together from one block to the next: what two arms at one time share, and the past doesn't.

    It has no bound: with n requests in a block, a share p that varies by σ makes clumps of n·σ²/(p·(1 - p)).
    """
    together = [{"all pods": _sum(list(block.values()))} for block in blocks]
    return max(1.0, _from_block_to_block(together)) if _is_enough(together) else 1.0


def _is_enough(blocks: Sequence[Block]) -> bool:
    return sum(tally.bad for block in blocks for tally in block.values()) >= ENOUGH_BAD


def _between_pods(blocks: Sequence[Block]) -> _Clumps | None:
    """Σ M·χ² / Σ M·(P − 1)·(1 − p): blocks weigh by their bad requests M, for the mean over blocks is biased."""
    expected = 0.0
    apart: list[Mapping[str, float]] = []
    for block in blocks:
        pods = {pod: tally for pod, tally in block.items() if tally.requests}
        whole = _sum(pods.values())
        if len(pods) < 2 or not whole.bad or whole.bad == whole.requests:
            apart.append({})
            continue
        apart.append({pod: _apart(tally, whole) for pod, tally in pods.items()})
        expected += whole.bad * (len(pods) - 1) * (1 - whole.bad / whole.requests)
    if not expected:
        return None
    seen = sum(each**2 for block in apart for each in block.values())
    return _Clumps(seen / expected, 2 * _in_common(apart) / expected)


def _apart(tally: Tally, whole: Tally) -> float:
    """A pod's bad requests beyond its share of them, over the root of that share: squared, its part of M·χ²."""
    share = tally.requests / whole.requests
    return (tally.bad - whole.bad * share) / math.sqrt(share)


def _in_common(apart: Sequence[Mapping[str, float]]) -> float:
    """The products of each two neighbours, beyond those of any two: a pod's luck lasts, and is no clump."""
    common = 0.0
    for pod in sorted({pod for block in apart for pod in block}):
        series = [block.get(pod, 0.0) for block in apart]
        neighbours = sum(before * after for before, after in itertools.pairwise(series))
        any_two = (sum(series) ** 2 - sum(each**2 for each in series)) / len(series)
        common += neighbours - any_two
    return common


def _over_blocks(blocks: Sequence[Block]) -> _Clumps:
    """From block to block: where neighbours share c, blocks show φ less 3·c, and those twice as long φ less 3/2·c."""
    within = _from_block_to_block(blocks)
    pairs = [_joined(blocks[first:]) for first in (0, 1)]
    twice_as_long = [_from_block_to_block(joined) for joined in pairs if len(joined) > 1]
    if not twice_as_long:
        return _Clumps(within, 0.0)
    return _Clumps(within, 2 * (sum(twice_as_long) / len(twice_as_long) - within))


def _joined(blocks: Sequence[Block]) -> list[Block]:
    """Each two as one, of the pods that are in both."""
    twos = zip(blocks[::2], blocks[1::2], strict=False)
    return [{pod: _sum((before[pod], after[pod])) for pod in before.keys() & after.keys()} for before, after in twos]


def _from_block_to_block(blocks: Sequence[Block]) -> float:
    """The same for one pod at two times: shared incidents are in it, so it errs on the careful side."""
    seen = expected = 0.0
    for before, after in itertools.pairwise(blocks):
        for pod, first in before.items():
            second = after.get(pod)
            if second is None or not first.requests or not second.requests:
                continue
            bad, requests = first.bad + second.bad, first.requests + second.requests
            if not bad or bad == requests:
                continue
            rate = bad / requests
            variance = rate * (1 - rate) * (1 / first.requests + 1 / second.requests)
            seen += bad * (first.bad / first.requests - second.bad / second.requests) ** 2 / variance
            expected += bad
    return seen / expected if expected else 1.0


TESTED = 3
"""Pods of stable, the worst ones, that are tried in the place of a candidate: whoever stands out is among them."""


@dataclass(frozen=True)
class Noisy:
    """A pod of stable that an A/A test takes for worse than the other pods of stable."""

    pod: str
    evidence: float
    own: Tally
    others: Tally


def noisy_pod(blocks: Sequence[Block], margin: Margin, phi: float, false_rollback: float) -> Noisy | None:
    """The A/A test: each pod of stable in turn in the place of a candidate. The worst one that would be rolled back."""
    pods = sorted({pod for block in blocks for pod in block})
    if len(pods) < 2:
        return None
    sums = [_sum(block.values()) for block in blocks]
    tested = [_against_the_others(pod, blocks, sums, margin, phi) for pod in _worst(blocks, pods)]
    if not tested:
        return None
    worst = max(tested, key=lambda noisy: noisy.evidence)
    # One chance for all of them together: several pods are tested.
    return worst if worst.evidence >= len(pods) / false_rollback else None


def _worst(blocks: Sequence[Block], pods: Sequence[str]) -> list[str]:
    """The pods that may stand out: of those with anything bad, the few with the greatest shares of it."""
    totals = {pod: _sum([block[pod] for block in blocks if pod in block]) for pod in pods}
    bad = [pod for pod in pods if totals[pod].bad]
    return sorted(bad, key=lambda pod: totals[pod].bad / totals[pod].requests, reverse=True)[:TESTED]


def _against_the_others(pod: str, blocks: Sequence[Block], sums: Sequence[Tally], margin: Margin, phi: float) -> Noisy:
    """`sums` are those of all pods of each block: adding up the others for each pod grows with its square."""
    e_process, highest = EProcess(UPWARD), 0.0
    for block, everybody in zip(blocks, sums, strict=True):
        own = block.get(pod, Tally(0, 0))
        others = Tally(everybody.bad - own.bad, everybody.requests - own.requests)
        e_process.add(
            lambda kappa, own=own, others=others: (  # type: ignore[misc]
                log_e(
                    own.bad,
                    others.bad,
                    own.requests,
                    others.requests,
                    kappa=kappa,
                    ratio=margin.ratio,
                    absolute=margin.absolute,
                )
                / phi
            )
        )
        highest = max(highest, e_process.log_value)
    own_total, total = _sum([block[pod] for block in blocks if pod in block]), _sum(sums)
    others_total = Tally(total.bad - own_total.bad, total.requests - own_total.requests)
    return Noisy(pod, e_value(highest), own_total, others_total)


def _sum(tallies: Collection[Tally]) -> Tally:
    return Tally(sum(tally.bad for tally in tallies), sum(tally.requests for tally in tallies))
