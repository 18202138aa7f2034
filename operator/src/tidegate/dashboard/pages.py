"""What is on the pages, and for whom: read from the feed, narrowed to what a viewer may see, made into HTML once."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from jinja2 import ChainableUndefined, Environment, PackageLoader
from markupsafe import Markup

from tidegate.dashboard.access import Viewer, may_see, may_see_pods
from tidegate.dashboard.charts import error_chart, evidence_chart, latency_chart, weight_chart
from tidegate.dashboard.controls import offered
from tidegate.dashboard.facts import OUTCOME_TONES, Facts, error_rate, evidence_share, facts_of, without_password
from tidegate.dashboard.feed import Feed, Trouble
from tidegate.dashboard.measures import Arms, Measures, Series
from tidegate.dashboard.streams import Parts, digest
from tidegate.kube.informer import Key
from tidegate.view.rollout_view import Role

MOST_ROWS = 200
"""Of one page of the list."""
MOST_PODS = 100
"""Of one rollout's page; those in trouble come first."""
MOST_RENDERED = 128
"""Pages whose HTML is kept until something in them changes."""
MOST_PARSED = 5000
SORTS: Mapping[str, tuple[str, Callable[[Facts], Any]]] = {
    "attention": ("Attention first", lambda facts: (_urgency(facts), *_place(facts))),
    "name": ("Name", lambda facts: (facts.view.name, facts.view.namespace)),
    "namespace": ("Namespace", lambda facts: _place(facts)),
    "weight": ("Candidate's weight", lambda facts: (-_weight(facts), *_place(facts))),
    "newest": ("Newest rollout", lambda facts: (-facts.began, *_place(facts))),
}
STATES: Mapping[str, tuple[str, Callable[[Facts], bool]]] = {
    "": ("All", lambda facts: True),
    "attention": ("Need somebody", lambda facts: facts.needs_somebody),
    "moving": ("Rolling out", lambda facts: facts.is_moving),
    "held": ("Held or paused", lambda facts: facts.tone == "held"),
    "well": ("Well", lambda facts: not facts.needs_somebody and not facts.is_moving),
}
LONGEST_WORD = 100
TEMPLATES = Environment(
    loader=PackageLoader("tidegate.dashboard"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=ChainableUndefined,
)
"""Of parts, which streams render outside of any request. What an older operator's status lacks is empty."""
TEMPLATES.filters |= {"share": evidence_share, "error_rate": error_rate, "without_password": without_password}
TEMPLATES.globals |= {"outcome_tones": OUTCOME_TONES}


def _place(facts: Facts) -> tuple[str, str]:
    return facts.view.namespace, facts.view.name


def _weight(facts: Facts) -> int:
    return (facts.view.weights.applied or 0) if facts.view.weights else 0


def _urgency(facts: Facts) -> int:
    if facts.needs_somebody:
        return 1 if facts.view.ready else 0
    return 2 if facts.is_moving else 3


@dataclass(frozen=True)
class Query:
    """What of all rollouts is asked for."""

    words: str = ""
    namespace: str = ""
    state: str = ""
    sort: str = "attention"
    page: int = 1

    @classmethod
    def of(cls, arguments: Mapping[str, str]) -> "Query":
        """Of a URL's arguments; what makes no sense is left out."""
        state, sort, page = arguments.get("state", ""), arguments.get("sort", ""), arguments.get("page", "1")
        return cls(
            arguments.get("q", "")[:LONGEST_WORD],
            arguments.get("namespace", "")[:LONGEST_WORD],
            state if state in STATES else "",
            sort if sort in SORTS else "attention",
            max(1, int(page[:6])) if page.isdecimal() else 1,
        )

    def text(self, page: int) -> str:
        """The URL's arguments for one page of the list."""
        given = {"q": self.words, "namespace": self.namespace, "state": self.state, "sort": self.sort, "page": page}
        default = {"sort": "attention", "page": 1}
        return urlencode({name: value for name, value in given.items() if value and default.get(name) != value})

    def matches(self, facts: Facts) -> bool:
        """Whether a rollout is asked for."""
        text = f"{facts.view.namespace}/{facts.view.name} {facts.view.phase} {facts.message}".lower()
        return (
            (not self.namespace or facts.view.namespace == self.namespace)
            and STATES[self.state][1](facts)
            and all(word in text for word in self.words.lower().split())
        )


@dataclass(frozen=True)
class Part:
    """A part of a page as HTML, and what tells it from its next version."""

    html: Markup
    mark: str


@dataclass(frozen=True)
class ListPage:
    """The list of rollouts."""

    query: Query
    namespaces: Sequence[str]
    parts: Mapping[str, Part]
    rows: Sequence[str]
    events: str


@dataclass(frozen=True)
class RolloutPage:
    """One rollout."""

    facts: Facts
    parts: Mapping[str, Part]


class Pages:
    """Makes pages. What several people look at is rendered once for all who may see the same."""

    def __init__(self, feed: Feed, controls: bool, measures: Measures | None = None) -> None:
        self._feed, self._controls, self._measures = feed, controls, measures
        self._lock = threading.Lock()
        self._rendered: OrderedDict[tuple[Any, ...], tuple[int, Parts]] = OrderedDict()
        self._parsed: OrderedDict[Key, tuple[Mapping[str, Any], Facts]] = OrderedDict()

    def rollouts(self, viewer: Viewer, query: Query, root: str) -> ListPage:
        """The list as a whole."""
        parts = self.rollouts_parts(viewer, query, root)
        rows = parts.order["rows"]
        return ListPage(query, self._namespaces(viewer), _marked(parts), rows, query.text(query.page))

    def rollouts_parts(self, viewer: Viewer, query: Query, root: str) -> Parts:
        """What of the list changes."""
        namespaces = frozenset(self._namespaces(viewer))
        key = ("list", namespaces, query, root, self._trouble_for_all())
        return self._once(key, self._feed.changes.count(), lambda: self._render_list(namespaces, query, root))

    def rollout(self, viewer: Viewer, key: Key, root: str) -> RolloutPage | None:
        """A rollout's page as a whole; None where there is none."""
        manifest, parts = self._feed.get(key), self.rollout_parts(viewer, key, root)
        if manifest is None or parts is None:
            return None
        return RolloutPage(self._facts(key, manifest), _marked(parts))

    def rollout_parts(self, viewer: Viewer, key: Key, root: str) -> Parts | None:
        """What of it changes."""
        shows_pods = may_see_pods(viewer, key[0])
        manifest, count = self._feed.get(key), self._feed.changes.count(key)
        if manifest is None:
            return None
        return self._once(
            (key, shows_pods, root, self._feed.trouble, self._feed.pod_trouble),
            count,
            lambda: self._render_rollout(manifest, key, shows_pods, root),
        )

    def _trouble_for_all(self) -> Trouble | None:
        return self._feed.trouble

    def _namespaces(self, viewer: Viewer) -> list[str]:
        """Those with ModelDeployments that the viewer may see."""
        there = {str(each["metadata"].get("namespace", "")) for each in self._feed.all()}
        return sorted(each for each in there if may_see(viewer, each))

    def _facts(self, key: Key, manifest: Mapping[str, Any]) -> Facts:
        with self._lock:
            known = self._parsed.get(key)
            if known is not None and known[0] is manifest:
                return known[1]
        facts = facts_of(manifest)
        with self._lock:
            _keep(self._parsed, key, (manifest, facts), MOST_PARSED)
        return facts

    def _once(self, key: tuple[Any, ...], count: int, render: Callable[[], Parts]) -> Parts:
        """What was rendered before, unless something has changed since."""
        with self._lock:
            known = self._rendered.get(key)
            if known is not None and known[0] == count:
                return known[1]
        parts = render()
        with self._lock:
            _keep(self._rendered, key, (count, parts), MOST_RENDERED)
        return parts

    def _render_list(self, namespaces: frozenset[str], query: Query, root: str) -> Parts:
        seen = [each for each in self._all() if each.view.namespace in namespaces]
        found = sorted(filter(query.matches, seen), key=SORTS[query.sort][1])
        pages = max(1, -(-len(found) // MOST_ROWS))
        page = min(query.page, pages)
        shown = found[(page - 1) * MOST_ROWS : page * MOST_ROWS]
        rows = {f"row.{each.view.namespace}.{each.view.name}": each for each in shown}
        html = {row: _html("rollouts/row.html", root, facts=each) for row, each in rows.items()}
        counts = {state: sum(map(matches, seen)) for state, (_, matches) in STATES.items()}
        html["summary"] = _html("rollouts/summary.html", root, counts=counts, states=STATES, query=query)
        html["pages"] = _html(
            "rollouts/pages.html",
            root,
            query=query,
            page=page,
            pages=pages,
            found=len(found),
            seen=len(seen),
            complete=self._feed.is_complete,
            trouble=self._feed.trouble,
        )
        html["notice"] = _html("notice.html", root, trouble=self._feed.trouble)
        return Parts(html, {"rows": list(rows)})

    def _all(self) -> Iterable[Facts]:
        for each in self._feed.all():
            key = str(each["metadata"].get("namespace", "")), str(each["metadata"].get("name", ""))
            yield self._facts(key, each)

    def _series(self, key: Key, facts: Facts) -> Series:
        stable, candidate = facts.view.revision(Role.STABLE), facts.view.revision(Role.CANDIDATE)
        if self._measures is None or stable is None:
            return Series()
        return self._measures.of(key, Arms(stable.name, candidate.name if candidate else ""))

    def _render_rollout(self, manifest: Mapping[str, Any], key: Key, shows_pods: bool, root: str) -> Parts:
        facts = facts_of(manifest, self._feed.pods_of(key) if shows_pods else ())
        pods = facts.pods
        points, series = self._feed.trends.of(key), self._series(key, facts)
        charts = weight_chart(points), evidence_chart(points), error_chart(series.points), latency_chart(series.points)
        shown = {
            "facts": facts,
            "pods": pods[:MOST_PODS],
            "more_pods": max(0, len(pods) - MOST_PODS),
            "shows_pods": shows_pods,
            "pod_trouble": self._feed.pod_trouble,
            "charts": [chart for chart in charts if chart],
            "measures_trouble": series.trouble,
            "trouble": self._feed.trouble,
            "controls": self._controls,
            "actions": offered(facts.view),
        }
        parts = (
            "phase",
            "sentence",
            "controls",
            "traffic",
            "evidence",
            "trends",
            "revisions",
            "pods",
            "conditions",
            "history",
        )
        html = {part: _html(f"rollout/{part}.html", root, **shown) for part in parts}
        return Parts({**html, "notice": _html("notice.html", root, **shown)})


def _marked(parts: Parts) -> Mapping[str, Part]:
    marked = ((part, Part(Markup(html), digest(html))) for part, html in parts.html.items())  # noqa: S704 - see _html
    return dict(marked)


def _keep(where: OrderedDict[Any, Any], key: Any, value: Any, most: int) -> None:
    where[key] = value
    where.move_to_end(key)
    while len(where) > most:
        where.popitem(last=False)


def _html(template: str, root: str, **shown: Any) -> Markup:
    """A part, outside of any request: `root` is the prefix of every path."""
    return Markup(TEMPLATES.get_template(template).render(root=root, **shown))  # noqa: S704 - templates escape
