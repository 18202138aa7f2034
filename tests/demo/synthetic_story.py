"""A story that never happened, as Prometheus would remember it: for tests of the picture."""

import math
from collections.abc import Callable
from functools import partial

from tidegate_demo.history import History, Series, Span

VERSIONS = {f"digits-0000000{number}": f"v{number}" for number in range(1, 7)}
SPANS = (
    Span("v1\nlive", 0, 12),
    Span("v2 canary\npromoted", 12, 90),
    Span("v3 errors\nrolled back", 90, 125),
    Span("v4 slow\nrolled back", 125, 170),
    Span("v5 blue-green\nswitched", 170, 235),
    Span("v6 canary, operator killed\npromoted", 235, 320),
)
CANARY = ((0, 10), (40, 25), (50, 50), (55, 100))


def the_history() -> History:
    rates = tuple(_envoy(version, partial(_weight, version)) for version in VERSIONS.values())
    return History(
        requests=rates,
        errors=(_envoy("v3", lambda at: 0.2 * _weight("v3", at)),),
        latency={
            0.5: tuple(_server(version, _milliseconds(version)) for version in VERSIONS.values()),
            0.9: tuple(_server(version, 1.7 * _milliseconds(version)) for version in VERSIONS.values()),
        },
        weights=tuple(
            Series({"revision": name}, _points(partial(_weight, version), early=6))
            for name, version in VERSIONS.items()
        ),
        evidence=(
            Series({"direction": "worse"}, _points(_worse)),
            Series({"direction": "acceptable"}, _points(_acceptable)),
        ),
    )


def _envoy(version: str, rate: Callable[[float], float]) -> Series:
    return Series({"envoy_cluster_name": f"demo/digits/{_name(version)}"}, _points(rate))


def _server(version: str, milliseconds: float) -> Series:
    def seconds(at: float) -> float:
        return (milliseconds + 0.2 * math.sin(at / 3)) / 1000 if _weight(version, at) > 0 else math.nan

    return Series({"revision": _name(version)}, _points(seconds))


def _points(value: Callable[[float], float], early: float = 0) -> tuple[tuple[float, float], ...]:
    """`early` seconds early: an operator wants before a rate shows."""
    everything = ((float(at), value(at + early)) for at in range(320))
    return tuple((at, number) for at, number in everything if not math.isnan(number))


def _name(version: str) -> str:
    return next(name for name, known in VERSIONS.items() if known == version)


def _milliseconds(version: str) -> float:
    return 104.0 if version == "v4" else 2.0 + 0.1 * int(version[1])


def _canary(at: float, began: float) -> float:
    return float(max((weight for after, weight in CANARY if at - began - 14 >= after), default=0))


def _weight(version: str, at: float) -> float:
    v2, v6 = _canary(at, 12), _canary(at, 235)
    v3 = 10.0 if 104 <= at < 114 else 0.0
    v4 = 5.0 if 139 <= at < 158 else 0.0
    v5 = 100.0 if at >= 195 else 0.0
    return {
        "v1": 100 - v2,
        "v2": max(0.0, v2 - v3 - v4 - v5),
        "v3": v3,
        "v4": v4,
        "v5": max(0.0, v5 - v6),
        "v6": v6,
    }[version]


def _worse(at: float) -> float:
    for began, speed in ((104, 0.9), (139, 0.35)):
        if began <= at < began + (10 if began == 104 else 19):
            return math.exp(speed * (at - began))
    return 0.7 if any(began <= at < began + 56 for began in (26, 249)) or 195 <= at < 225 else math.nan


def _acceptable(at: float) -> float:
    for began in (26, 249):
        if began <= at < began + 56:
            return math.exp((at - began) / 15)
    if 195 <= at < 225:
        return math.exp((at - 195) / 8)
    return 0.2 if 104 <= at < 114 or 139 <= at < 158 else math.nan
