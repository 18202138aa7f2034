"""Operators of two releases over the same objects: each has a Lease of its own, so no Lease tells them apart."""

from dataclasses import dataclass, field

from tidegate.kube.informer import Key
from tidegate.model.decision import Event
from tidegate.model.reasons import Reason
from tidegate.model.traffic import Writer


@dataclass
class Rivals:
    """Remembers whose Lease stood on each route. One that comes after ours is another operator that works too.

    One that was there before we came isn't: a release may be installed anew under another name.
    """

    _ours: set[Key] = field(default_factory=set)
    _told: set[tuple[Key, str]] = field(default_factory=set)

    def meet(self, key: Key, ours: Writer, last: Writer | None) -> Event | None:
        """What to tell of the last writer of a route; each rival is told of once for each object."""
        if last is None:
            return None
        if last.lease == ours.lease:
            self._ours.add(key)
            return None
        if key not in self._ours or (key, last.lease) in self._told:
            return None
        self._told.add((key, last.lease))
        return Event(
            Reason.TWO_OPERATORS,
            f"the operator with the Lease {last.lease} looks after {key[1]} too, beside that with {ours.lease}: keep"
            " one release, or give each its own list of namespaces",
            warning=True,
        )

    def forget(self, key: Key) -> None:
        """There is no such object any more."""
        self._ours.discard(key)
        self._told = {told for told in self._told if told[0] != key}
