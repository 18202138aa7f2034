"""How a router guards a model and its clients: idle streams, retries, limits, ejections. What isn't set is none. Pure.

A ModelDeployment's `spec.traffic` and the route that is made of it say it by the same fields: one reader is for both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from tidegate.model.units import format_duration, parse_duration

LONGEST_IDLE = timedelta(hours=1)
DEFAULT_ATTEMPTS = 2
MOST_ATTEMPTS = 5
MOST = 1_000_000
"""Of anything that is counted."""
MOST_EJECTED_PERCENT = 50
"""So that never more than every second pod is left out, and one alone never is."""


class RateUnit(StrEnum):
    """The time in which so many requests are taken."""

    SECOND = "Second"
    MINUTE = "Minute"
    HOUR = "Hour"

    @property
    def seconds(self) -> int:
        """How long it is."""
        return {RateUnit.SECOND: 1, RateUnit.MINUTE: 60, RateUnit.HOUR: 3600}[self]


class Retries(NamedTuple):
    """Of a request that can't have reached a model, on other pods of the same revision."""

    attempts: int = DEFAULT_ATTEMPTS
    """Beside the first; 0 for none."""
    budget_percent: int | None = None
    """Of a revision's requests that are under way; None for a thousand at once."""


class RateLimit(NamedTuple):
    """What one router takes for the model; it answers 429 to what is more."""

    requests: int
    unit: RateUnit
    burst: int
    """What may come at once after a quiet time."""


class CircuitBreaker(NamedTuple):
    """The most that one router has under way to one revision; None for the router's own bounds."""

    max_connections: int | None = None
    max_pending_requests: int | None = None
    max_parallel_requests: int | None = None


class OutlierDetection(NamedTuple):
    """Leaves out for a while a pod that can't be reached, whatever those say that can be."""

    consecutive_errors: int = 5
    interval: timedelta = timedelta(seconds=10)
    base_ejection_time: timedelta = timedelta(seconds=30)
    max_ejection_percent: int = MOST_EJECTED_PERCENT


@dataclass(frozen=True)
class RoutePolicy:
    """All of it; None for what isn't wanted."""

    idle_timeout: timedelta | None = None
    """How long neither side of a request may send anything; None for the timeout and 10 seconds."""
    retries: Retries | None = None
    rate_limit: RateLimit | None = None
    circuit_breaker: CircuitBreaker | None = None
    outlier_detection: OutlierDetection | None = None


NO_POLICY = RoutePolicy()


def read_policy(raw: Mapping[str, Any], where: str) -> RoutePolicy:
    """From the fields of `where`, such as `spec.traffic`. Raises ValueError with a sentence that names the field."""
    fields = _Fields(raw, where)
    return RoutePolicy(
        idle_timeout=fields.duration("idleTimeout", None, LONGEST_IDLE),
        retries=_retries(part) if (part := fields.part("retries")) else None,
        rate_limit=_rate_limit(part) if (part := fields.part("rateLimit")) else None,
        circuit_breaker=_circuit_breaker(part) if (part := fields.part("circuitBreaker")) else None,
        outlier_detection=_outlier_detection(part) if (part := fields.part("outlierDetection")) else None,
    )


def policy_fields(policy: RoutePolicy) -> dict[str, Any]:
    """What `read_policy` reads; nothing of what isn't set."""
    retries, limit = policy.retries, policy.rate_limit
    breaker, outliers = policy.circuit_breaker, policy.outlier_detection
    fields: dict[str, Any] = {
        "idleTimeout": policy.idle_timeout and format_duration(policy.idle_timeout),
        "retries": retries and _set({"attempts": retries.attempts, "budgetPercent": retries.budget_percent}),
        "rateLimit": limit and {"requests": limit.requests, "unit": limit.unit.value, "burst": limit.burst},
        "circuitBreaker": breaker
        and _set(
            {
                "maxConnections": breaker.max_connections,
                "maxPendingRequests": breaker.max_pending_requests,
                "maxParallelRequests": breaker.max_parallel_requests,
            }
        ),
        "outlierDetection": outliers
        and {
            "consecutiveErrors": outliers.consecutive_errors,
            "interval": format_duration(outliers.interval),
            "baseEjectionTime": format_duration(outliers.base_ejection_time),
            "maxEjectionPercent": outliers.max_ejection_percent,
        },
    }
    return _set(fields)


def _set(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


class _Fields(NamedTuple):
    """An object of the API, and where it is."""

    raw: Mapping[str, Any]
    where: str

    def part(self, name: str) -> "_Fields | None":
        """The object in a field; None where there is none."""
        value = self.raw.get(name)
        if value is not None and not isinstance(value, Mapping):
            raise ValueError(f"{self.where}.{name}: {value!r} is not an object")
        return None if value is None else _Fields(value, f"{self.where}.{name}")

    def number(self, name: str, low: int, high: int) -> int | None:
        """A whole number; None where there is none."""
        value = self.raw.get(name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high):
            raise ValueError(f"{self.where}.{name}: {value!r} is not a whole number from {low} to {high}")
        return value

    def number_or(self, name: str, default: int, low: int, high: int) -> int:
        """The same with a default."""
        value = self.number(name, low, high)
        return default if value is None else value

    def duration(self, name: str, default: timedelta | None, longest: timedelta) -> timedelta | None:
        """From a second to `longest`."""
        value = self.raw.get(name)
        if value is None:
            return default
        try:
            found = parse_duration(value)
        except (ValueError, TypeError):
            found = timedelta()
        if not timedelta(seconds=1) <= found <= longest:
            raise ValueError(f"{self.where}.{name}: {value!r} is no duration from 1s to {format_duration(longest)}")
        return found

    def duration_or(self, name: str, default: timedelta, longest: timedelta) -> timedelta:
        """The same with a default that is one."""
        return self.duration(name, default, longest) or default


def _retries(part: _Fields) -> Retries:
    return Retries(part.number_or("attempts", DEFAULT_ATTEMPTS, 0, MOST_ATTEMPTS), part.number("budgetPercent", 1, 100))


def _rate_limit(part: _Fields) -> RateLimit:
    requests = part.number("requests", 1, MOST)
    if requests is None:
        raise ValueError(f"{part.where}.requests: it is missing; say how many requests a unit has")
    unit = part.raw.get("unit", RateUnit.SECOND.value)
    if unit not in list(RateUnit):
        raise ValueError(f"{part.where}.unit: {unit!r} is none of {', '.join(RateUnit)}")
    burst = part.number_or("burst", requests, 1, MOST)
    if burst < requests:
        raise ValueError(f"{part.where}.burst: {burst} is less than requests, {requests}; leave it out or raise it")
    return RateLimit(requests, RateUnit(unit), burst)


def _circuit_breaker(part: _Fields) -> CircuitBreaker:
    names = "maxConnections", "maxPendingRequests", "maxParallelRequests"
    return CircuitBreaker(*(part.number(name, 1, MOST) for name in names))


def _outlier_detection(part: _Fields) -> OutlierDetection:
    default = OutlierDetection()
    return OutlierDetection(
        part.number_or("consecutiveErrors", default.consecutive_errors, 1, 100),
        part.duration_or("interval", default.interval, timedelta(minutes=5)),
        part.duration_or("baseEjectionTime", default.base_ejection_time, timedelta(hours=1)),
        part.number_or("maxEjectionPercent", default.max_ejection_percent, 1, MOST_EJECTED_PERCENT),
    )
