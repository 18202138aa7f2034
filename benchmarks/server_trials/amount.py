"""How much of a trial is enough."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Amount:
    """It ends with so many answers or cases, or after so many seconds, whichever comes first."""

    requests: float = float("inf")
    seconds: float = float("inf")

    def part(self, share: float) -> "Amount":
        """This share of both; of the requests at least one."""
        return Amount(max(1, self.requests * share), self.seconds * share)
