"""Envoy's exposition text of some clusters → their series. PURE.

Only what was asked for may be in it: a text that names another cluster, or that can't be read to its end, is nothing.
"""

import math
import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from tidegate.errors import NotEvidence

CLUSTER = "envoy_cluster_name"
MOST_HEADS = 50_000
"""Series whose names are remembered as they were read."""
_HEAD = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{(.*)\}")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)')
_ESCAPED = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


class SeriesName(NamedTuple):
    """A series as its text names it: the labels, `__name__` among them, and the cluster that it is of."""

    cluster: str
    labels: Mapping[str, str]


class ExpositionReader:
    """Reads texts of which most lines are as in the one before, but for their numbers. Not for several threads."""

    def __init__(self) -> None:
        self._heads: dict[str, SeriesName] = {}

    def read(self, text: str, asked: Collection[str]) -> dict[str, dict[str, float]]:
        """The values by cluster and by the series' own text, for `name_of`. Raises NotEvidence, which says why."""
        found: dict[str, dict[str, float]] = {cluster: {} for cluster in asked}
        for line in text.splitlines():
            if not line or line[0] == "#":
                continue
            head, _, number = line.rpartition(" ")
            series = self._heads.get(head) or self._learn(head)
            told = found.get(series.cluster)
            if told is None:
                raise NotEvidence(f"it tells of {series.cluster or 'no cluster'}, which it wasn't asked for")
            try:
                value = float(number)
            except ValueError:
                value = math.nan
            if not 0 <= value < math.inf:
                raise NotEvidence(f"{number[:20]!r} is no count")
            told[head] = value
        return {cluster: told for cluster, told in found.items() if told}

    def name_of(self, head: str) -> SeriesName:
        """What a text that has been read is the name of."""
        return self._heads.get(head) or self._learn(head)

    def forget(self, prefix: str) -> None:
        """Drops the names of the clusters that begin with this: nobody asks for them any more."""
        self._heads = {head: each for head, each in self._heads.items() if not each.cluster.startswith(prefix)}

    def _learn(self, head: str) -> SeriesName:
        if len(self._heads) >= MOST_HEADS:
            self._heads.clear()
        series = self._heads[head] = _series(head)
        return series


def _series(head: str) -> SeriesName:
    matched = _HEAD.fullmatch(head)
    if matched is None:
        raise NotEvidence(f"a line of its counters can't be read: {head[:80]!r}")
    name, inside = matched.groups()
    labels, position = {"__name__": name}, 0
    while position < len(inside):
        label = _LABEL.match(inside, position)
        if label is None:
            raise NotEvidence(f"a line of its counters can't be read: {head[:80]!r}")
        labels[label[1]] = re.sub(r"\\.", lambda escape: _ESCAPED.get(escape[0], escape[0]), label[2])
        position = label.end()
    return SeriesName(labels.get(CLUSTER, ""), labels)
