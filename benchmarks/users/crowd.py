"""Users of very different activity, whose requests fail more or less often and in clumps. Pure: the generator comes in.

The n-th user sends as many requests as 1/n^zipf says, comes and goes in sessions, and has a failure rate of their own
(lognormal). Failures come in clumps of geometric size: who sends a bad request sends it again.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SESSION_SECONDS = 600
"""How long a user is there, or isn't, at least; each ends with the same chance after that."""


@dataclass(frozen=True)
class Users:
    """`sigma` is of the failure rates' logarithm, `rate` and `failing` are the requests per second of all and the share
    of them that fails. `clump` is how many failures come together on average, `present` the part of the time in which a
    user is there at all. `later` is how many times as much fails, of everybody, once the rollout has begun."""

    number: int = 1000
    zipf: float = 0.0
    sigma: float = 0.0
    rate: float = 100.0
    failing: float = 0.005
    clump: float = 1.0
    present: float = 1.0
    later: float = 1.0


@dataclass(frozen=True)
class Crowd:
    """One drawing of them: requests per second while they are there, failure rates, and where their digests lie."""

    users: Users
    sends: Floats
    fails: Floats
    digests: Floats

    def on_candidate(self, weight: int) -> NDArray[np.bool_]:
        """Who meets the candidate at a weight in percent."""
        found: NDArray[np.bool_] = self.digests < weight / 100
        return found


def drawn(users: Users, random: Generator) -> Crowd:
    """Who they are; of all requests as many fail on average as `failing` says, whoever sends most of them."""
    sends = np.arange(1, users.number + 1, dtype=np.float64) ** -users.zipf
    sends *= users.rate / sends.sum() / users.present
    logs = random.normal(-(users.sigma**2) / 2, users.sigma, users.number) if users.sigma else np.zeros(users.number)
    fails = np.minimum(0.9, users.failing * np.exp(logs))
    return Crowd(users, sends, fails, random.random(users.number))


def sessions(crowd: Crowd, increments: int, seconds: int, random: Generator) -> NDArray[np.bool_]:
    """Increment by increment, who is there."""
    users = crowd.users
    if users.present == 1:
        return np.ones((increments, users.number), dtype=np.bool_)
    every = max(1, SESSION_SECONDS // seconds)
    blocks = math.ceil(increments / every) + 1
    there = random.random((blocks, users.number)) < users.present
    begins = random.integers(0, every, users.number)
    found: NDArray[np.bool_] = there[(np.arange(increments)[:, np.newaxis] + begins) // every, np.arange(users.number)]
    return found


def requests(
    crowd: Crowd, there: NDArray[np.bool_], seconds: int, random: Generator, times: Floats | float = 1.0
) -> tuple[Ints, Ints]:
    """Per increment and user: requests, and those that failed; `times` as many fail."""
    sent = there * crowd.sends * seconds
    fails = np.minimum(1.0, crowd.fails * times)
    clumps = random.poisson(sent * fails / crowd.users.clump)
    failed = clumps.astype(np.int64)
    if crowd.users.clump > 1:
        some = clumps > 0
        failed[some] += random.negative_binomial(clumps[some], 1 / crowd.users.clump)
    return random.poisson(sent * (1 - fails)) + failed, failed
