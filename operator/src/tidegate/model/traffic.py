"""How requests are split among revisions, and what was seen of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from tidegate.model.gateway import GatewayApi
from tidegate.model.istio import Istio
from tidegate.model.matching import Rules
from tidegate.model.reasons import StatusMessage
from tidegate.model.route_policy import NO_POLICY, RoutePolicy
from tidegate.model.slices import Slices


@dataclass(frozen=True)
class Mirror:
    """A part of the requests is sent to a revision once more, and what it answers to that reaches nobody."""

    revision: str
    percent: int


@dataclass(frozen=True)
class Matched:
    """Requests of a group that all go to one revision, whatever its weight."""

    revision: str
    rules: Rules


@dataclass(frozen=True)
class TrafficSplit:
    """Percent per revision, in order, adding to 100. A revision at 0 can still be reached by the preview header."""

    weights: tuple[tuple[str, int], ...]
    mirror: Mirror | None = None
    matched: Matched | None = None

    def __post_init__(self) -> None:
        if any(not 0 <= weight <= 100 for _, weight in self.weights) or sum(w for _, w in self.weights) != 100:
            raise ValueError(f"weights must lie in 0..100 and add to 100, not {self.weights}")
        if len({revision for revision, _ in self.weights}) != len(self.weights):
            raise ValueError(f"a revision appears twice in {self.weights}")
        if self.mirror and (self.mirror.revision not in self or not 1 <= self.mirror.percent <= 100):
            raise ValueError(f"{self.mirror} isn't of a revision in {self.weights}, or of 1 to 100 percent")
        if self.matched and self.matched.revision not in self:
            raise ValueError(f"{self.matched} isn't of a revision in {self.weights}")

    @classmethod
    def only(cls, revision: str) -> "TrafficSplit":
        """Everything to one revision, and nothing else can be reached."""
        return cls(((revision, 100),))

    @classmethod
    def between(
        cls, stable: str, candidate: str, candidate_weight: int, *, mirrored: int = 0, rules: Rules = ()
    ) -> "TrafficSplit":
        """Both can be reached; `candidate_weight` percent go to the candidate, and copies of `mirrored` percent.

        Before that, all that match one of the `rules` do.
        """
        mirror = Mirror(candidate, mirrored) if mirrored else None
        matched = Matched(candidate, rules) if rules else None
        return cls(((stable, 100 - candidate_weight), (candidate, candidate_weight)), mirror, matched)

    def weight(self, revision: str | None) -> int:
        """Percent; 0 for a revision that can't be reached."""
        return dict(self.weights).get(revision or "", 0)

    def mirrored(self, revision: str | None) -> int:
        """Percent of the requests of which a revision gets a copy."""
        return self.mirror.percent if self.mirror and self.mirror.revision == revision else 0

    def is_matched(self, revision: str | None) -> bool:
        """Whether a revision gets the requests of a group."""
        return self.matched is not None and self.matched.revision == revision

    def reaches(self, revision: str | None) -> bool:
        """Whether it gets any request but for previews: by weight, of a group, or a copy."""
        return self.weight(revision) > 0 or self.mirrored(revision) > 0 or self.is_matched(revision)

    def __contains__(self, revision: object) -> bool:
        return any(revision == name for name, _ in self.weights)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self.weights)


RESERVED_HEADERS = frozenset(
    [
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "authorization",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "date",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "origin",
        "referer",
        "te",
        "trailer",
        "traceparent",
        "tracestate",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "via",
        "x-api-key",
        "x-request-id",
    ]
)
"""Names of headers that requests have anyway. One that is about the connection never even gets as far as the router."""
RESERVED_PREFIXES = ("grpc-", "proxy-", "sec-", "x-envoy-", "x-forwarded-")


def is_reserved_header(name: str) -> bool:
    """Whether a header's name, in small letters, can't be the preview header's."""
    return name in RESERVED_HEADERS or name.startswith(RESERVED_PREFIXES)


@dataclass(frozen=True)
class Sticky:
    """By what a user is known, whose requests all go to one revision: a header's value, or a cookie that routers give.

    Exactly one of `header` and `cookie` is set. `ttl` is how long a cookie lasts; none is as long as the client's
    session.
    """

    header: str = ""
    cookie: str = ""
    ttl: timedelta = timedelta()

    def __str__(self) -> str:
        return f"the header {self.header}" if self.header else f"the cookie {self.cookie}"


@dataclass(frozen=True)
class RouteSettings:
    """What a route says of its requests beside their split."""

    preview_header: str
    """The request header that names a revision to be asked, whatever its weight; empty for none."""
    timeout: timedelta
    gateway: GatewayApi | None = None
    """The Gateways that carry it; None for Tidegate's own router."""
    grpc: bool = False
    """Whether calls by gRPC are split too."""
    policy: RoutePolicy = NO_POLICY
    sticky: Sticky | None = None
    """None where each request is drawn by itself."""
    istio: Istio | None = None
    """The hosts and Gateways of Istio's that carry it; None for other routers."""
    slices: Slices = ()
    """Groups of requests that the router counts apart."""

    @property
    def is_lent(self) -> bool:
        """Whether it is one rule of a route of the user's."""
        by_gateway, by_istio = self.gateway and self.gateway.route_ref, self.istio and self.istio.virtual_service
        return bool(by_gateway or by_istio)


class Writer(NamedTuple):
    """Which operator wrote something: the Lease that it led by, and the how-manieth leader by that Lease it was."""

    lease: str
    """Namespace and name, with a slash between them."""
    epoch: int
    """Grows with every change of the leader."""

    @classmethod
    def parse(cls, text: str) -> "Writer | None":
        """The inverse of `str`; None for anything else."""
        lease, _, epoch = text.rpartition("/")
        return cls(lease, int(epoch)) if lease and epoch.isdecimal() else None

    def __str__(self) -> str:
        return f"{self.lease}/{self.epoch}"

    def is_outranked_by(self, other: "Writer | None") -> bool:
        """Whether `other` led after this one, by the same Lease."""
        return other is not None and other.lease == self.lease and other.epoch > self.epoch


@dataclass(frozen=True, slots=True)
class RouteState:
    """A route as it is. Where somebody edited it into something that can't be read, it has no split and no settings."""

    split: TrafficSplit | None = None
    settings: RouteSettings | None = None
    applied_by: frozenset[str] = frozenset()
    """The live routers that work with it as it is now."""
    awaited: frozenset[str] = frozenset()
    """The live routers that don't yet. One that isn't heard of any more is waited for by nobody."""
    refused_by: Mapping[str, str] = field(default_factory=dict)
    """Of those, the routers whose Envoy won't have it as it is now, with its sentence: there all stays as it was."""
    version: str = field(default="", compare=False)
    """Its resourceVersion, with which a write of it is fenced; empty where there is no route."""
    writer: Writer | None = None
    """The operator that wrote it last; None where nobody said so."""
    edited_by: str = ""
    """Who else has written it since, as the API server calls them; empty where nobody has."""
    lists_first: bool = False
    """Whether a revision has to be seen in its list at 0 before it gets requests, and after it had some: routers that
    get to know a revision and its share separately would lose requests otherwise."""
    leaving: frozenset[str] = frozenset()
    """Revisions that are listed at 0 for that alone, and aren't part of its split."""
    problem: StatusMessage | None = None
    """Why some or all of its routers won't have it as it is now, where that can be said better than by `refused_by`."""
    untold: str = ""
    """What to look at while no router says that it has taken it; empty where nothing can be said."""
    uncounted: str = ""
    """Why its routers' counters can't tell revisions apart; empty where they do."""
    unmarked: str = ""
    """What of it marks no requests as live, so that model servers take them for such that came past it; empty where
    all are marked."""
    cautions: tuple[StatusMessage, ...] = ()
    """What of it isn't ours to change, and isn't as whoever wrote it, or judges by it, may take it to be."""
    seen_as: object = field(default=None, compare=False)
    """What its backend saw, for its own use."""


NO_ROUTE = RouteState()


@dataclass(frozen=True)
class Capabilities:
    """What a router can do beside splitting requests by weight."""

    preview: bool = False
    """A header may name the revision that answers."""
    mirror: bool = False
    """Copies of requests, whose answers nobody gets."""
    sticky: bool = False
    """One user, one revision."""
    match: bool = False
    """Requests chosen by header, cookie or query."""
    slices: bool = False
    """Requests counted apart by the value of a header."""
    grpc: bool = False


@dataclass(frozen=True)
class Arms:
    """Whose traffic is compared: two revisions of one ModelDeployment."""

    namespace: str
    name: str
    stable: str
    candidate: str


@dataclass(frozen=True)
class Share:
    """Requests that the routers finished per revision between two instants.

    `live` came by weight, `preview` by header, `matched` by a step's rules, and `shadow` are copies, whose answers
    nobody got. A Share exists only where the routers' counters were seen at both ends: a revision it doesn't name had
    none.
    """

    since: datetime
    until: datetime
    live: Mapping[str, int]
    preview: Mapping[str, int]
    shadow: Mapping[str, int] = field(default_factory=dict)
    matched: Mapping[str, int] = field(default_factory=dict)

    def any(self, revision: str) -> int:
        """Requests of one revision, however they came."""
        return sum(each.get(revision, 0) for each in (self.live, self.preview, self.shadow, self.matched))

    def fraction(self, revision: str) -> float | None:
        """The revision's part of the live requests; None where there were none at all."""
        total = sum(self.live.values())
        return self.live.get(revision, 0) / total if total else None
