"""What Prometheus tells of routers that have been read directly, or will be again: each request counts once. PURE.

Both read the same counters, which only grow while a process lives, so what is above the value that was counted last is
new, and nothing else is. Times say only which of two readings is the later one, and the two have clocks of their own.
"""

from collections.abc import Collection, Mapping

from tidegate.metrics.falls import CLOCKS
from tidegate.metrics.increments import DURATION, NEVER, Process, Sample


def named_as_here(told: Sample, known_as: Mapping[str, Process]) -> Sample:
    """Prometheus' sample with the names that the processes have here, as far as it can be told who they are."""
    return {key._replace(owner=_who(key.owner, known_as)): counted for key, counted in told.items()}


def later_than(told: Sample, known: Sample, routers: Collection[Process] = ()) -> Sample:
    """What is certainly later than `known`, which was counted last: its times as if its clock were as fast as may be.

    Counters of a process that isn't known begin after all that is: they may be those of one that has been counted. One
    of the `routers` is known by its name, whether or not it has been counted.
    """
    here = {*routers, *(key.owner for key in known)}
    until = max((counted.at for counted in known.values()), default=NEVER)
    found = {}
    for key, counted in told.items():
        at = counted.at - CLOCKS
        if key.owner in here or at > until:
            restarted = None if counted.restarted is None else counted.restarted - CLOCKS
            found[key] = counted._replace(at=at, restarted=restarted)
    return found


def of(told: Sample, owners: Collection[Process] | None) -> Sample:
    """What was told of these processes, or of all."""
    return told if owners is None else {key: counted for key, counted in told.items() if key.owner in owners}


def without_latency(sample: Sample) -> Sample:
    """Requests and failures alone."""
    return {key: counted for key, counted in sample.items() if key.measure != DURATION}


def _who(owner: Process, known_as: Mapping[str, Process]) -> Process:
    if owner.pod and owner.namespace:
        return owner
    return known_as.get(owner.pod or owner.instance.rpartition(":")[0].strip("[]"), owner)
