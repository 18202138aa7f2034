"""What Prometheus tells of each model's stable revision: every question that a release asks, asked now."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from tidegate.cli.check.finding import Finding, State
from tidegate.errors import InvalidSpec, MetricsUnavailable
from tidegate.metrics.preflight import reference_of, slower_scrape, stable_now
from tidegate.metrics.provider import MetricsProvider, Sources
from tidegate.metrics.registry import SourceRegistry
from tidegate.metrics.user_queries import ask
from tidegate.model.judged_queries import JudgedQuery
from tidegate.model.metric_template import FoundTemplate, with_templates
from tidegate.model.own_query import OwnQuery
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.traffic import NO_ROUTE, Arms, RouteState
from tidegate.model.units import format_duration, format_percent

HELP = "docs/prometheus.md"


def answers(provider: MetricsProvider, url: str, now: datetime) -> Finding:
    """Whether it answers at all, where no model is there to be asked about."""
    try:
        provider.series("vector(1)", now, timedelta(seconds=1), 1)
    except MetricsUnavailable as error:
        return Finding("Prometheus", State.WRONG, f"{error}; a release holds until it answers")
    return Finding(
        "Prometheus", State.OK, f"{url} answers; whether it scrapes what it must is seen once a model is there"
    )


def metrics(
    manifest: Mapping[str, Any],
    provider: MetricsProvider,
    scrape_interval: timedelta,
    now: datetime,
    find: Callable[[str], FoundTemplate] = lambda name: None,
    route: RouteState = NO_ROUTE,
) -> Iterator[Finding]:
    """Of one ModelDeployment. An outage of Prometheus is told once, and ends it. `find` gives
    MetricTemplates."""
    metadata = manifest["metadata"]
    about = f"{metadata['namespace']}/{metadata['name']}"
    stable = ((manifest.get("status") or {}).get("stable") or {}).get("revision")
    if not stable:
        yield Finding(about, State.UNSEEN, "it has no stable revision, whose metrics could be looked at")
        return
    try:
        spec = with_templates(ModelDeploymentSpec.parse(manifest["spec"]), find)
    except InvalidSpec as error:
        yield Finding(about, State.WRONG, str(error))
        return
    arms = Arms(metadata["namespace"], metadata["name"], stable, stable)
    delay = max(spec.analysis.interval, scrape_interval)
    sources = SourceRegistry(provider).sources(spec.router, spec.analysis.requests_from, route)
    try:
        yield _requests(about, sources, arms, spec, now, delay)
        yield _latency(about, sources, arms, now, delay)
    except MetricsUnavailable as error:
        yield Finding(about, State.WRONG, f"{error}; a release holds until it answers")
        return
    asked = [JudgedQuery(query, stable) for query in spec.analysis.queries]
    answers = ask(provider, asked, arms, until=now, step=spec.analysis.interval)
    for query, answer in zip(spec.analysis.queries, answers, strict=True):
        yield _own(about, query, answer.values, answer.failure)


def _requests(
    about: str, sources: Sources, arms: Arms, spec: ModelDeploymentSpec, now: datetime, delay: timedelta
) -> Finding:
    found = stable_now(sources, arms, now, delay)
    who = sources.traffic.name
    if not found.is_counted:
        what = f"Prometheus has no counters of {arms.stable} from the {who}: does it scrape them? See {HELP}"
        return Finding(about, State.WRONG, what)
    if slow := slower_scrape(found.readings, delay):
        what = (
            f"the {who} are scraped every {slow:.0f} s, and not as often as the operator takes them to be, "
            f"{format_duration(delay)}: set the chart's prometheus.scrapeIntervalSeconds"
        )
        return Finding(about, State.WRONG, what)
    if found.baseline is None or not found.baseline.rate:
        what = f"{arms.stable} is counted by the {who}, and gets no requests: without any there is no verdict"
        return Finding(about, State.WARNING, what)
    rate, failed = found.baseline.rate, format_percent(found.baseline.failed)
    return Finding(about, State.OK, f"the {who} count {rate:.3g} requests a second of {arms.stable}, {failed} failed")


def _latency(about: str, sources: Sources, arms: Arms, now: datetime, delay: timedelta) -> Finding:
    reference = reference_of(sources, arms, now, delay)
    if not reference.durations.total:
        what = f"the model servers of {arms.stable} tell no latency: does Prometheus scrape them? See {HELP}"
        return Finding(about, State.WARNING, what)
    return Finding(about, State.OK, f"the model servers tell the latency of {reference.durations.total:,} requests")


def _own(about: str, query: OwnQuery, values: tuple[float, ...], failure: str) -> Finding:
    what = f"the query {query.name} of spec.analysis.queries"
    if failure:
        state = State.WARNING if query.dry_run else State.WRONG  # a dry run keeps no release from starting
        return Finding(about, state, f"{what} gives no number about stable: {failure}")
    value = values[-1]
    if query.is_beyond(value):
        return Finding(about, State.WARNING, f"{what} gives {value:g} about stable, which is itself beyond its limits")
    return Finding(about, State.OK, f"{what} gives {value:g} about stable")
