"""How soon answers come at a steady rate, from when each request was due."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Event

from tidegate.rehearsal.load import Users
from tidegate.rehearsal.payloads import Payload
from tidegate.verification.asking import Endpoint
from tidegate.verification.row import Row, failed, not_asked, ok

CHECK = "latency"


@dataclass(frozen=True)
class Pace:
    """Requests a second, for so many seconds; `most` limits the 99th percentile, in seconds, if there is a limit."""

    rate: float
    seconds: float
    most: float | None = None


def latency(endpoint: Endpoint, payloads: Sequence[Payload], pace: Pace) -> Iterator[Row]:
    """Takes as long as it is asked to."""
    if not pace.rate:
        yield not_asked(CHECK, "--rate is 0")
        return
    if not payloads:
        yield not_asked(CHECK, "no request is known that the model takes; give some by --requests FILE")
        return
    prefixed = [Payload(endpoint.address.prefix + each.path, each.body) for each in payloads]
    users = Users(endpoint.connect, endpoint.headers, prefixed, pace.rate)
    with users.asking():
        Event().wait(pace.seconds)
    yield _row(users, pace)


def _row(users: Users, pace: Pace) -> Row:
    tally, took = users.tally, users.latencies
    if not took:
        return failed(CHECK, f"none of {tally.requests + tally.unsent} requests was answered", pace.seconds)
    shares: Mapping[str, float] = {"p50": percentile(took, 0.5), "p99": percentile(took, 0.99), "longest": took[-1]}
    told = ", ".join(f"{name} {_milliseconds(seconds)}" for name, seconds in shares.items())
    said = f"{told}, of {len(took)} answers at {pace.rate:g} a second"
    wrong = tally.failed + tally.refused
    if wrong:
        return failed(CHECK, f"{wrong} of {tally.requests} requests weren't answered with 200: {said}", pace.seconds)
    if tally.unsent:
        return failed(
            CHECK, f"{tally.unsent} requests couldn't be sent in time, so it can't keep the rate: {said}", pace.seconds
        )
    if pace.most is not None and shares["p99"] > pace.most:
        return failed(CHECK, f"p99 is beyond --max-p99 {pace.most * 1000:g} ms: {said}", pace.seconds)
    return ok(CHECK, said + (f" (limit of p99: {pace.most * 1000:g} ms)" if pace.most else ""), pace.seconds)


def _milliseconds(seconds: float) -> str:
    told = seconds * 1000
    return f"{told:,.0f} ms" if told >= 100 else f"{told:.3g} ms"


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of them don't exceed. `ordered` has one at least, smallest first."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
