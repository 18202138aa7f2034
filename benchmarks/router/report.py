"""What a router costs beside a direct connection, and what it was to cost. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.markdown import met, table

MEDIAN_MS, P99_MS = 0.3, 1.0
LATE_MS = 1.0
"""In the median. Whoever can't even send in time can't tell fractions of a millisecond."""
PERCENTILES = (50, 90, 99, 99.9)
BARE = "a bare Envoy"
"""The phase of one with a single route: what it costs is Envoy's own, and no router can be below."""


@dataclass(frozen=True)
class Phase:
    """All rounds in which the router was used in one way. Microseconds, sorted."""

    name: str
    direct: Sequence[float]
    routed: Sequence[float]
    late: Sequence[float]
    """By how much the client sent later than it meant to: what this machine does to whoever wants to run."""
    failed: int
    cpu_seconds: float
    """Envoy's, all threads."""
    seconds: float

    def cost_ms(self, percentile: float) -> float:
        """By how much the router's percentile is above that of the direct connections."""
        return (quantile(self.routed, percentile) - quantile(self.direct, percentile)) / 1e3


@dataclass(frozen=True)
class Results:
    """`rate`: requests a second through the router, and as many directly, at the same time."""

    rate: float
    models: int
    rollouts: int
    phases: Sequence[Phase]
    reading_ms: Sequence[float]
    """How long each reading of all rollouts took, sorted."""
    reading_bytes: int


def too_busy(results: Results) -> str:
    """Why these figures are the machine's and not the router's; empty where they are the router's."""
    late = max(quantile(phase.late, 50) for phase in results.phases) / 1e3
    if late <= LATE_MS:
        return ""
    return f"the client sent {late:.1f} ms late in the median, so this machine has too much else to do: try again later"


@dataclass(frozen=True)
class Goal:
    """What was to be reached, and the figure."""

    words: str
    figure: str
    met: bool


def quantile(values: Sequence[float], percentile: float) -> float:
    """Of sorted values; the nearest rank."""
    return values[min(len(values) - 1, int(len(values) * percentile / 100))]


def goals(results: Results) -> list[Goal]:
    """Every goal, for each phase of the router."""
    return [
        Goal(f"{phase.name}: {words} at most {most:g} ms", f"{phase.cost_ms(percentile):.2f} ms", is_met)
        for phase in results.phases
        if phase.name != BARE
        for words, percentile, most in (("median", 50, MEDIAN_MS), ("p99", 99, P99_MS))
        for is_met in [phase.cost_ms(percentile) <= most]
    ] + [Goal("no request fails", f"{failed}", failed == 0) for failed in [sum(one.failed for one in results.phases)]]


def report(results: Results) -> str:
    """The report, as Markdown."""
    judged = [("what a router costs", "figure", ""), *((g.words, g.figure, met(g.met)) for g in goals(results))]
    return "\n".join(
        [
            f"{results.rate:g} requests a second through a router with {results.models:,} models, as many directly to",
            "the same upstream at the same moments; milliseconds from sending to the kernel's receipt of the answer.",
            "",
            table([("", "", *(f"p{percentile:g}" for percentile in PERCENTILES)), *_rows(results)], labels=2),
            "",
            table(judged, labels=1),
            "",
            *_bare(results),
            _reading(results),
        ]
    )


def _bare(results: Results) -> list[str]:
    return [
        f"A bare Envoy, with one route and one cluster, costs {phase.cost_ms(50):.2f} ms in the median and "
        f"{phase.cost_ms(99):.2f} ms at p99 here, in the same turns: what the router costs above that is its own."
        for phase in results.phases
        if phase.name == BARE
    ]


def _rows(results: Results) -> list[tuple[str, ...]]:
    return [
        (phase.name, what, *(f"{quantile(values, percentile) / 1e3:.2f}" for percentile in PERCENTILES))
        for phase in results.phases
        for what, values in (
            ("direct", phase.direct),
            ("through it" if phase.name == BARE else "through the router", phase.routed),
            ("late in sending", phase.late),
        )
    ]


def _reading(results: Results) -> str:
    shares = " and ".join(f"{phase.cpu_seconds / phase.seconds:.0%} ({phase.name})" for phase in results.phases)
    if not results.reading_ms:
        return f"Envoy took {shares} of a core."
    return (
        f"Envoy took {shares} of a core. A reading of {results.rollouts} rollouts took "
        f"{quantile(results.reading_ms, 50):.0f} ms (p99 {quantile(results.reading_ms, 99):.0f} ms) and had "
        f"{results.reading_bytes / 1000:,.0f} kB."
    )
