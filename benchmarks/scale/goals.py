"""What was promised of operator and router with 1,000 ModelDeployments, and whether it is kept. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.markdown import UNKNOWN
from benchmarks.scale.figures import Measured, OperatorFigures, RouterFigures, Spread

MIB = 2**20
AGENT_TIMES_BETTER = 20.0
AGENT_SECONDS_BEFORE = 0.023
"""Of a core a change, where no baseline was measured: what it was when the promise was made."""
_LEASES = " leases"


@dataclass(frozen=True)
class Goal:
    """One promise. `before` is what was seen of the baseline."""

    words: str
    seen: str
    before: str
    met: bool


@dataclass(frozen=True)
class Figure:
    """A number of one code at one size, how it is said, and the most that it may be, where that was promised."""

    words: str
    of: Callable[[Measured], float | None]
    said: Callable[[float], str]
    most: float | None = None

    def text(self, measured: Measured | None) -> str:
        """As people read it."""
        value = self.of(measured) if measured else None
        return UNKNOWN if value is None else self.said(value)


def _seconds(value: float) -> str:
    return f"{value:.1f} s"


def _ms(value: float) -> str:
    return f"{value * 1000:.2f} ms" if value < 0.01 else f"{value * 1000:.0f} ms"


def _mib(value: float) -> str:
    return f"{value / MIB:.0f} MiB"


def _kb(value: float) -> str:
    return f"{value / 1000:.1f} kB"


def _plain(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _operator(of: Callable[[OperatorFigures], float | None]) -> Callable[[Measured], float | None]:
    return lambda measured: of(measured.operator) if measured.operator else None


def _router(of: Callable[[RouterFigures], float | None]) -> Callable[[Measured], float | None]:
    return lambda measured: of(measured.router) if measured.router else None


def _p50(spread: Spread | None) -> float | None:
    return spread.p50 if spread else None


def _p99(spread: Spread | None) -> float | None:
    return spread.p99 if spread else None


def _added(direct: Spread | None, routed: Spread | None, of: Callable[[Spread | None], float | None]) -> float | None:
    without, through = of(direct), of(routed)
    return None if without is None or through is None else max(0.0, through - without)


def _calls_but_leases(found: OperatorFigures) -> float:
    return float(sum(count for what, count in found.idle_calls.items() if not what.endswith(_LEASES)))


OPERATOR = (
    Figure("all are live after", _operator(lambda o: o.live), _seconds, 35.0),
    Figure("… and its CPU until then", _operator(lambda o: o.live_cpu), _seconds),
    Figure("memory", _operator(lambda o: float(o.resident)), _mib, 160 * MIB),
    Figure("… at its peak", _operator(lambda o: float(o.peak)), _mib),
    Figure("a quiet minute: millicores", _operator(lambda o: o.idle_millicores), _plain, 5.0),
    Figure("a quiet minute: API calls but for the Lease", _operator(_calls_but_leases), _plain, 0.0),
    Figure("50 rollouts: a look is late, p50", _operator(lambda o: _p50(o.rolling_late)), _ms),
    Figure("50 rollouts: a look is late, p99", _operator(lambda o: _p99(o.rolling_late)), _ms, 0.5),
    Figure("50 rollouts: a look takes, p50", _operator(lambda o: _p50(o.rolling_took)), _ms),
    Figure("50 rollouts: looks a second", _operator(lambda o: o.rolling_looks), _plain),
    Figure("50 rollouts: share of a core", _operator(lambda o: o.rolling_cores), _plain, 0.5),
    Figure("50 rollouts: API writes a second", _operator(lambda o: o.rolling_writes), _plain, 3.0),
    Figure("50 rollouts: memory", _operator(lambda o: float(o.rolling_resident)), _mib),
)
ROUTER = (
    Figure("all is routed after", _router(lambda r: r.started), _seconds),
    Figure("agent's CPU a change", _router(lambda r: r.agent_cpu), _ms),
    Figure("Envoy's CPU a change", _router(lambda r: r.envoy_cpu), _ms),
    Figure("change → effect, p50", _router(lambda r: _p50(r.change)), _ms),
    Figure("change → effect, p99", _router(lambda r: _p99(r.change)), _ms, 0.15),
    Figure("shift → effect, p50", _router(lambda r: _p50(r.shift)), _ms),
    Figure("shift → effect, p99", _router(lambda r: _p99(r.shift)), _ms, 0.15),
    Figure("changes and shifts that were never seen", _router(lambda r: float(r.unseen)), _plain, 0.0),
    Figure("bytes a change", _router(lambda r: r.bytes), _kb, 2000.0),
    Figure("… of them into files", _router(lambda r: r.written), _kb),
    Figure("agent's memory", _router(lambda r: float(r.agent_resident)), _mib),
    Figure("Envoy's memory", _router(lambda r: float(r.envoy_resident)), _mib),
    Figure(
        "the router adds at 1,000 requests/s, p50", _router(lambda r: _added(r.direct, r.routed, _p50)), _ms, 0.0003
    ),
    Figure("the router adds at 1,000 requests/s, p99", _router(lambda r: _added(r.direct, r.routed, _p99)), _ms, 0.001),
)
GROWING = frozenset(figure.words for figure in (*OPERATOR, *ROUTER)) - {
    "50 rollouts: looks a second",
    "a quiet minute: API calls but for the Lease",
    "changes and shifts that were never seen",
}
"""Figures that may at most grow as the number of ModelDeployments does."""
SMALL = 1e-3
"""Below it a figure is nothing, and its growth says nothing."""


def judge(everything: Sequence[Measured]) -> list[Goal]:
    """Every promise, at the largest size that was measured."""
    ours, theirs = largest(everything, ""), None
    for code in {measured.code for measured in everything} - {""}:
        theirs = largest(everything, code)
    if ours is None:
        return []
    figures = [figure for figure in (*OPERATOR, *ROUTER) if figure.most is not None]
    measured = [goal for figure in figures if (goal := _goal(figure, ours, theirs))]
    return [*measured, *_agent_better(ours, theirs), *_linear(everything)]


def largest(everything: Sequence[Measured], code: str) -> Measured | None:
    """Of one code."""
    return max((each for each in everything if each.code == code), key=lambda each: each.models, default=None)


def growth(figure: Figure, everything: Sequence[Measured], code: str) -> float | None:
    """From the smallest size to the largest; None where one of them has no figure, or there is nothing to tell."""
    sizes = sorted((each for each in everything if each.code == code), key=lambda each: each.models)
    if len(sizes) < 2 or figure.words not in GROWING:
        return None
    first, last = figure.of(sizes[0]), figure.of(sizes[-1])
    if first is None or last is None or first < SMALL:
        return None
    return last / first


def size_ratio(everything: Sequence[Measured]) -> float:
    """How many times as many ModelDeployments the largest size has as the smallest."""
    sizes = [each.models for each in everything]
    return max(sizes) / min(sizes)


def _goal(figure: Figure, ours: Measured, theirs: Measured | None) -> Goal | None:
    if figure.most is None or (value := figure.of(ours)) is None:
        return None
    words = f"{figure.words}: at most {figure.said(figure.most)}"
    return Goal(words, figure.said(value), figure.text(theirs), value <= figure.most)


def _agent_better(ours: Measured, theirs: Measured | None) -> Iterator[Goal]:
    if ours.router is None:
        return
    before = theirs.router.agent_cpu if theirs and theirs.router else AGENT_SECONDS_BEFORE
    times = before / max(ours.router.agent_cpu, 1e-9)
    words = f"agent's CPU a change: at most a {AGENT_TIMES_BETTER:.0f}th of what it was"
    seen = f"{_ms(ours.router.agent_cpu)}, a {times:.0f}th"
    yield Goal(words, seen, _ms(before), times >= AGENT_TIMES_BETTER)


def _linear(everything: Sequence[Measured]) -> Iterator[Goal]:
    most = size_ratio(everything)
    if most <= 1:
        return
    found = {figure.words: growth(figure, everything, "") for figure in (*OPERATOR, *ROUTER)}
    known = {words: times for words, times in found.items() if times is not None}
    if known:
        worst = max(known, key=lambda words: known[words])
        words = f"nothing grows faster than the number of ModelDeployments ({most:g} times as many)"
        yield Goal(words, f"at most {known[worst]:.1f}× ({worst})", UNKNOWN, known[worst] <= most)
