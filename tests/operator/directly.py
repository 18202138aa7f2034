"""A world whose routers tell their counters to whoever asks them, beside a Prometheus that scrapes them seldom.

The real poller asks, and the real buffer, merge and fold take what comes; only the network is simulated.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from tests.operator.world import SETTINGS, START, World, selects
from tidegate.controller.checkpoints import Checkpoints
from tidegate.controller.clock import ClockWatch
from tidegate.controller.judging import RolloutJudge
from tidegate.controller.reconciler import Reconciler
from tidegate.errors import MetricsUnavailable, TidegateError
from tidegate.metrics.collector import MetricsCollector
from tidegate.metrics.direct import DirectRouters, no_samples
from tidegate.metrics.falls import Scraped
from tidegate.metrics.provider import CounterQuery, Readings
from tidegate.metrics.providers.router_samples import RouterPod
from tidegate.metrics.providers.routers import RouterPoller
from tidegate.metrics.raw_series import read
from tidegate.resources.router_report import RouterReport
from tidegate.resources.sampling import SamplesAnswer

SECOND = timedelta(seconds=1)
ENVOY = {"requests": "envoy_cluster_upstream_rq_completed", "failed": "envoy_cluster_upstream_rq_xx"}


@dataclass
class SimulatedRouter:
    """`share` of all requests goes through it."""

    share: float = 0.5
    clock: timedelta = timedelta()
    """How far its own clock is ahead."""
    fails_with: TidegateError | None = None
    """What asking it ends with."""
    adds: str = ""
    """What its answers hold besides."""
    started: datetime = START - timedelta(hours=1)
    lost: dict[tuple[str, str], float] = field(default_factory=dict)
    """What it had counted when it began anew."""

    def count(self, key: tuple[str, str], value: float) -> float:
        return float(int(value * self.share)) - self.lost.get(key, 0.0)


class DirectWorld(World):
    """shop/digits behind two routers that are asked each second; Prometheus scrapes all each `scrape` seconds."""

    scrape = 30
    server_shares: Sequence[float] = (1.0,)
    """Of a revision's requests that each of its pods answers."""
    prometheus_share = 1.0
    """What Prometheus has of each counter, where it doesn't scrape what it should."""

    def __init__(self, schema: Mapping[str, Any], models: Mapping[str, Any], *, rps: int = 100) -> None:
        self.behind: dict[str, SimulatedRouter] = {"router-a": SimulatedRouter(), "router-b": SimulatedRouter()}
        super().__init__(schema, models, rps=rps)
        self.applied = dict.fromkeys(self.behind)

    def restart(self) -> None:
        self.samples = no_samples(lambda: self.now.timestamp())
        self.poller = RouterPoller(
            self.samples, self._pods_of_routers, self, lambda namespace, name: None, steady=self.steady
        )
        collector = MetricsCollector(self, kept=Checkpoints(self).kept, direct=DirectRouters(self.samples, self.poller))
        settings = replace(SETTINGS, scrape_interval=timedelta(seconds=self.scrape))
        self.judge = RolloutJudge(collector)
        self._reconciler = Reconciler(self, self.judge, settings, lambda *_: None, clock=ClockWatch(self.steady))

    def restart_router(self, name: str) -> None:
        """Its Envoy begins anew, and all that it counts."""
        router = self.behind[name]
        router.started = self.now
        router.lost = {key: float(int(value * router.share)) for key, value in self._counters.items()}

    def reconcile(self) -> timedelta | None:
        again = super().reconcile()
        return min(again or SECOND, SECOND) if self.poller.is_asking else again

    def pass_time(self, due: datetime | None) -> None:
        super().pass_time(due)
        self.poller.round()

    def _is_of_router(self, revision: str, measure: str) -> bool:
        return bool(self.of_router(revision, measure))

    # --- the routers ------------------------------------------------------------------------------------------------

    def routers(self) -> list[RouterReport]:
        return [replace(report, address="10.0.0.1:9903") for report in super().routers()]

    def _pods_of_routers(self) -> list[RouterPod]:
        return [RouterPod("tidegate", name, f"10.0.0.{number}:9903") for number, name in enumerate(self.applied, 1)]

    def ask(self, pod: RouterPod, clusters: Sequence[str]) -> SamplesAnswer:
        """See RouterClient."""
        router = self.behind[pod.name]
        if router.fails_with:
            raise router.fails_with
        text = "".join(line for cluster in clusters for line in self._told(router, cluster)) + router.adds
        started, now = (router.started + router.clock).timestamp(), (self.now + router.clock).timestamp()
        return SamplesAnswer("", pod.full_name, started, now, text)

    def _told(self, router: SimulatedRouter, cluster: str) -> Iterator[str]:
        for (revision, measure), value in self._counters.items():
            if cluster == f"shop/digits/{revision}" and (labels := self.of_router(revision, measure)):
                inside = ",".join(f'{name}="{text}"' for name, text in labels.items() if name != "__name__")
                count = router.count((revision, measure), value)
                yield f"{labels['__name__']}{{{inside}}} {count:.0f}\n"

    def of_router(self, revision: str, measure: str, *, latency: bool = True) -> dict[str, str]:
        """A counter's labels as an Envoy names it; none for one that no router has."""
        cluster = {"envoy_cluster_name": f"shop/digits/{revision}"}
        if measure in ENVOY:
            code = {"envoy_response_code_class": "5"} if measure == "failed" else {}
            return {"__name__": ENVOY[measure], **code, **cluster}
        if latency and measure[0] in "0123456789+":
            bound = measure if measure == "+Inf" else f"{float(measure) * 1000:.6g}"
            return {"__name__": "envoy_cluster_upstream_rq_time_bucket", **cluster, "le": bound}
        return {}

    # --- Prometheus -------------------------------------------------------------------------------------------------

    def readings(self, query: CounterQuery, start: datetime, step: timedelta, points: int) -> Readings:
        return read(self, query, start, step, points)

    def raw(self, promql: str, since: datetime, until: datetime) -> list[Scraped]:
        """See RawStore."""
        self.prometheus_asked += 1
        if not self.prometheus_up:
            raise MetricsUnavailable("Prometheus at http://prometheus can't be reached")
        return [found for found in self._scraped(promql, since, until) if found.samples]

    def _scraped(self, promql: str, since: datetime, until: datetime) -> Iterator[Scraped]:
        instants = [at for at in self._instants(since, until) if at in self._history]
        yield from self._uptimes(promql, instants)
        for key in self._counters:
            if selects(promql, self.labels(*key)) and not self.of_router(*key, latency=False):
                for number, share in enumerate(self.server_shares):
                    labels = self.labels(*key)
                    yield Scraped(
                        {**labels, "instance": f"{labels['instance']}{number or ''}"},
                        [
                            (at.timestamp(), self._history[at][key] * share)
                            for at in instants
                            if key in self._history[at]
                        ],
                    )
            for name, router in self.behind.items() if self.of_router(*key) else ():
                labels = {**self.of_router(*key), "namespace": "tidegate", "pod": name, "instance": f"{name}:9902"}
                if selects(promql, labels):
                    yield Scraped(
                        labels,
                        [
                            (at.timestamp(), self.prometheus_share * router.count(key, self._history[at][key]))
                            for at in instants
                            if key in self._history[at] and at >= router.started
                        ],
                    )

    def _uptimes(self, promql: str, instants: Sequence[datetime]) -> Iterator[Scraped]:
        for name, router in self.behind.items():
            labels = {
                "__name__": "envoy_server_uptime",
                "namespace": "tidegate",
                "pod": name,
                "instance": f"{name}:9902",
            }
            if selects(promql, labels):
                yield Scraped(
                    labels,
                    [
                        (at.timestamp(), (at - router.started).total_seconds())
                        for at in instants
                        if at >= router.started
                    ],
                )

    def _instants(self, since: datetime, until: datetime) -> Iterator[datetime]:
        each = timedelta(seconds=self.scrape)
        at = START + max(0, (since - START) // each + 1) * each
        while at <= until:
            yield at
            at += each

    # --- what is to be seen -----------------------------------------------------------------------------------------

    def counted(self, revision: str) -> int:
        """Requests of a revision, as both routers have counted them by now."""
        key = (revision, "requests")
        return round(sum(router.count(key, self._counters[key]) for router in self.behind.values()))

    def second_of(self, text: str) -> int:
        """When the transcript first says it, in seconds since the world began."""
        return int(next(line for line in self.transcript if text in line).split(" s ")[0])
