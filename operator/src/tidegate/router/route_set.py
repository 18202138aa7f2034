"""All models' routes are one resource of Envoy's; here they are told apart again: who is changed, taken, refused. Pure.

Routes without weights, that is: `shape_of`.

Envoy takes or refuses the resource as a whole. When it refuses, halves of the change are tried, until the model that it
is about is alone: that one stays as Envoy has it, and the others go on. A change of others never waits for that search.
"""

from collections import deque
from collections.abc import Callable, Collection, Mapping, Set

from tidegate.resources.model_route import Route
from tidegate.resources.names import Name


class RouteSet:
    """`want` says what should be; `next_try` and its answer, `taken` or `refuse`, bring it about."""

    def __init__(self) -> None:
        self._wanted: dict[Name, Route] = {}
        self._taken: dict[Name, Route] = {}
        self._pending: set[Name] = set()
        self._trying: dict[Name, Route | None] = {}
        self._suspects: deque[frozenset[Name]] = deque()
        self._refused: dict[Name, tuple[Route | None, str]] = {}

    @property
    def taken(self) -> Mapping[Name, Route]:
        """As Envoy works with them."""
        return self._taken

    @property
    def pending(self) -> Set[Name]:
        """Those that Envoy doesn't work with as they should be, the refused ones too."""
        return self._pending

    @property
    def tried(self) -> Mapping[Name, Route | None]:
        """Those on which Envoy hasn't answered yet: it may work with them as they were, or as they are here."""
        return self._trying

    def shapes(self, name: Name) -> list[Route]:
        """The routes with which Envoy may work: none, one, or two."""
        found = self._taken.get(name), self._trying.get(name)
        return [route for route in found if route is not None]

    def with_tried(self) -> Collection[Route]:
        """All routes with which Envoy works if it has taken the last try."""
        return [route for route in {**self._taken, **self._trying}.values() if route is not None]

    def refused(self) -> dict[Name, str]:
        """Envoy's sentence on each that it won't have as it should be."""
        return {name: message for name, (_, message) in self._refused.items()}

    def want(self, name: Name, route: Route | None) -> bool:
        """This should be, or nothing of this name. Whether that is news."""
        is_news = self._wanted.get(name) != route
        if route is None:
            self._wanted.pop(name, None)
        else:
            self._wanted[name] = route
        self._compare(name)
        return is_news

    def _compare(self, name: Name) -> None:
        wanted = self._wanted.get(name)
        if name in self._refused and self._refused[name][0] != wanted:
            del self._refused[name]
        if wanted == self._taken.get(name):
            self._pending.discard(name)
        else:
            self._pending.add(name)

    def assume(self, taken: Mapping[Name, Route]) -> None:
        """Envoy works with these, so far as anybody knows."""
        self._taken = dict(taken)
        self._trying = {}
        self.abandon()
        self._pending = {
            name for name in self._wanted.keys() | taken.keys() if self._wanted.get(name) != taken.get(name)
        }

    def abandon(self) -> None:
        """The stream broke: `resume` tells of the last try. What was refused is tried again by whoever comes next."""
        self._refused.clear()
        self._suspects.clear()

    def resume(self, *, has_tried: bool) -> None:
        """Whether Envoy had taken the last try when the stream broke."""
        if has_tried:
            self.accept()
        self._trying = {}

    def all_may_go(self, may_go: Callable[[Name], bool]) -> bool:
        """Whether nothing that isn't refused waits."""
        return all(map(may_go, self._pending - self._refused.keys()))

    def next_try(self, may_go: Callable[[Name], bool]) -> Collection[Route] | None:
        """All routes as they should be tried now; None where there is no change to try."""
        if not self._pending:
            self._suspects.clear()
            return None
        ready = {name for name in self._pending - self._refused.keys() if may_go(name)}
        chosen = ready - frozenset[Name]().union(*self._suspects)
        while not chosen and self._suspects:
            chosen = ready & self._suspects.popleft()
        if not chosen:
            return None
        self._trying = {name: self._wanted.get(name) for name in chosen}
        return self.with_tried()

    def accept(self) -> None:
        """Envoy works with the last try."""
        tried, self._trying = self._trying, {}
        for name, route in tried.items():
            if route is None:
                self._taken.pop(name, None)
            else:
                self._taken[name] = route
            self._compare(name)

    def refuse(self, message: str) -> None:
        """Envoy won't have the last try, and goes on with what it has."""
        tried, self._trying = self._trying, {}
        names = sorted(tried)
        if len(names) == 1:
            self._refused[names[0]] = (tried[names[0]], message)
            self._compare(names[0])
            return
        half = (len(names) + 1) // 2
        self._suspects.extendleft(frozenset(part) for part in (names[half:], names[:half]) if part)
