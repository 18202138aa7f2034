"""What Envoy has of one type of resources, and what it is sent next: incremental xDS, one type on one stream. Pure.

Promise: only what changed is sent; one response is under way at a time, and what changes meanwhile goes together with
the next; a resource that Envoy refuses is found and left alone, and all others go on.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from tidegate.router import xds_pb2 as pb


@dataclass(frozen=True)
class Resource:
    """One resource as it goes over the wire. The same content has the same version, whoever made it."""

    name: str
    version: str
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Refusal:
    """Envoy's own sentence on a version that it won't have."""

    version: str
    message: str


@dataclass(frozen=True)
class Outcome:
    """What Envoy said of the last response. Neither where it said nothing of it."""

    accepted: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Batch:
    versions: dict[str, str]
    removed: frozenset[str]


class Subscription:
    """`wildcard`: Envoy takes all that there are (clusters). Else only what it names (endpoints, routes)."""

    def __init__(self, type_url: str, *, wildcard: bool = False) -> None:
        self.type_url = type_url
        self.authoritative = False
        """Whether `put` tells of the cluster as it is. Until then only what Envoy lacks is sent."""
        self._wildcard = wildcard
        self._wanted: dict[str, Resource] = {}
        self._refused: dict[str, Refusal] = {}
        self._nonce = 0
        self.close()

    def close(self) -> None:
        """The stream is over: of the next one's Envoy nothing is known."""
        self.is_open = False
        self.is_fresh = False
        """Whether it is the first stream of its Envoy, which so far has nothing of this type."""
        self._owes_first = False
        self._names: set[str] = set()
        self._known: dict[str, str] = {}
        self._refused.clear()
        self._under_way: _Batch | None = None
        self._suspects: deque[frozenset[str]] = deque()
        self._repeated: set[str] = set()
        self._due = set(self._wanted)

    @property
    def known(self) -> Mapping[str, str]:
        """The versions that Envoy works with."""
        return self._known

    @property
    def refused(self) -> Mapping[str, Refusal]:
        """What Envoy refused, as long as the same is wanted."""
        return self._refused

    @property
    def waits(self) -> bool:
        """Whether a response is under way."""
        return self._under_way is not None

    def version_wanted(self, name: str) -> str:
        """Empty where nothing is wanted under this name."""
        found = self._wanted.get(name)
        return found.version if found else ""

    def put(self, resource: Resource) -> None:
        """This is wanted from now on."""
        self._wanted[resource.name] = resource
        refusal = self._refused.get(resource.name)
        if refusal and refusal.version == resource.version:
            return
        self._refused.pop(resource.name, None)
        self._due.add(resource.name)

    def repeat(self, name: str) -> None:
        """Sends it once more although Envoy has it: somebody new in Envoy waits for it, and Envoy doesn't ask again."""
        if name in self._known:
            self._repeated.add(name)
            self._due.add(name)

    def drop(self, name: str) -> None:
        """This is no longer wanted."""
        if self._wanted.pop(name, None):
            self._refused.pop(name, None)
            self._due.add(name)

    def settle(self) -> None:
        """What is wanted is now known to be right: what Envoy has may be changed."""
        if not self.authoritative:
            self.authoritative = True
            self._due |= self._wanted.keys() | self._known.keys()

    def hear(self, request: pb.DeltaDiscoveryRequest) -> Outcome:
        """Takes in what Envoy asks for, and what it says of the last response."""
        if not self.is_open:
            self.is_open = True
            self._known.update(request.initial_resource_versions)
            self.is_fresh = not self._known
            self._owes_first = self.is_fresh and self._wildcard
            self._due |= self._known.keys()
        for name in request.resource_names_subscribe:
            if name not in request.initial_resource_versions:
                self._lose(name)  # asked for anew, it has to be sent anew
            self._names.add(name)
            self._due.add(name)
        for name in request.resource_names_unsubscribe:
            self._names.discard(name)
            self._lose(name)
        return self._concluded(request)

    def _lose(self, name: str) -> None:
        """Envoy doesn't have this, whatever it says of a response that was under way meanwhile."""
        self._known.pop(name, None)
        if self._under_way is not None:
            self._under_way.versions.pop(name, None)

    def _concluded(self, request: pb.DeltaDiscoveryRequest) -> Outcome:
        batch = self._under_way
        if batch is None or request.response_nonce != str(self._nonce):
            return Outcome()
        self._under_way = None
        if request.HasField("error_detail"):
            return self._taken_apart(batch, request.error_detail.message)
        for name, version in batch.versions.items():
            if self._wildcard or name in self._names:
                self._known[name] = version
        self._forget(batch.removed)
        return Outcome(accepted=frozenset(batch.versions))

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            self._known.pop(name, None)

    def _taken_apart(self, batch: _Batch, message: str) -> Outcome:
        """A refusal is of the whole response: halves are tried apart, until the one that it is about is alone."""
        names = sorted(batch.versions)
        if not names:
            self._forget(batch.removed)  # there is no other way to say it: what it didn't let go stays with it
            return Outcome()
        self._due |= batch.removed
        if len(names) == 1 and not batch.removed:
            [name] = names
            if self.version_wanted(name) == batch.versions[name]:
                self._refused[name] = Refusal(batch.versions[name], message)
            else:
                self._due.add(name)
            return Outcome(refused=frozenset(names))
        half = (len(names) + 1) // 2
        self._suspects.extendleft(frozenset(part) for part in (names[half:], names[:half]) if part)
        return Outcome()

    def respond(self) -> pb.DeltaDiscoveryResponse | None:
        """The next response, or None while there is nothing to say, or one is under way."""
        if not self.is_open or self._under_way is not None:
            return None
        if not (self._due or self._suspects or self._owes_first):
            return None
        suspected = frozenset[str]().union(*self._suspects)
        batch = self._batch(self._due - suspected)
        self._due.clear()
        while batch is None and self._suspects:
            batch = self._batch(self._suspects.popleft())
        if batch is None and not self._owes_first:
            return None
        return self._sent(batch or _Batch({}, frozenset()))

    def _batch(self, names: Set[str]) -> _Batch | None:
        versions = {name: self._wanted[name].version for name in sorted(names) if self._is_news(name)}
        removed = frozenset(name for name in names if self._is_gone(name))
        return _Batch(versions, removed) if versions or removed else None

    def _is_news(self, name: str) -> bool:
        wanted = self._wanted.get(name)
        if wanted is None or not (self._wildcard or name in self._names) or name in self._refused:
            return False
        known = self._known.get(name)
        return known is None or name in self._repeated or (self.authoritative and known != wanted.version)

    def _is_gone(self, name: str) -> bool:
        # Endpoints and routes need no removal: Envoy forgets them with the cluster or listener that names them.
        return self._wildcard and self.authoritative and name in self._known and name not in self._wanted

    def _sent(self, batch: _Batch) -> pb.DeltaDiscoveryResponse:
        self._owes_first = False
        self._under_way = batch
        self._repeated -= batch.versions.keys()
        self._nonce += 1
        return pb.DeltaDiscoveryResponse(
            type_url=self.type_url,
            nonce=str(self._nonce),
            resources=(self._message(self._wanted[name]) for name in batch.versions),
            removed_resources=sorted(batch.removed),
        )

    def _message(self, resource: Resource) -> pb.Resource:
        packed = pb.Any(type_url=self.type_url, value=resource.body)
        return pb.Resource(name=resource.name, version=resource.version, resource=packed)
