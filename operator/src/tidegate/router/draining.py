"""When a router that was told to end may end. Pure: times are seconds of one steady clock.

SIGTERM → /ready says 503, connections are handed back → settle → listeners close → requests end → Envoy stops
"""

from dataclasses import dataclass
from enum import Enum


class DrainStep(Enum):
    """What to do now."""

    ACCEPT = "go on accepting: others still send here"
    CLOSE = "accept no more, and let what is under way end"
    STOP = "stop Envoy"


MARGIN_SECONDS = 5.0


@dataclass(frozen=True)
class DrainPlan:
    """`settle_seconds`: how long others need to learn that this pod ends. `limit_seconds`: for all of it."""

    settle_seconds: float
    limit_seconds: float

    def within(self, longest_request_seconds: float) -> "DrainPlan":
        """The same where no request takes longer than this."""
        needed = self.settle_seconds + longest_request_seconds + MARGIN_SECONDS
        return DrainPlan(self.settle_seconds, min(self.limit_seconds, needed))

    def step(self, elapsed: float, active_requests: int | None) -> DrainStep:
        """`active_requests` is None when Envoy doesn't answer: then there is nothing to wait for but time."""
        if elapsed >= self.limit_seconds:
            return DrainStep.STOP
        if elapsed < self.settle_seconds:
            return DrainStep.ACCEPT
        return DrainStep.STOP if active_requests == 0 else DrainStep.CLOSE
