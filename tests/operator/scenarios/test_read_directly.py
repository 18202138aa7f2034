"""Routers that are read directly: a bad model goes in seconds at any scrape interval, and nothing counts twice."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.operator.directly import DirectWorld
from tests.operator.disturbed import Disturbed
from tests.operator.world import START, Behaviour, World
from tidegate.errors import MetricsUnavailable, NotEvidence, TidegateError
from tidegate.judge.overdispersion import LARGEST
from tidegate.metrics.falls import Scraped

MODELS = {
    "http://models/1": Behaviour(),
    "http://models/2": Behaviour(),
    "http://models/failing": Behaviour(error_rate=0.2),
    "http://models/slow": Behaviour(latency=0.104),
}
SILENT = MetricsUnavailable("it can't be asked")


def release(world: DirectWorld, uri: str, weight: int = 10, *, lasting: str = "0s", **analysis: Any) -> None:
    steps = {"canary": {"steps": [{"weight": weight, "minDuration": lasting}, {"weight": 50}]}}
    world.kubectl_apply(model={"uri": uri}, strategy=steps, analysis={"bake": "5s", **analysis})


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> DirectWorld:
    """v1 has been live for a while, scraped each 30 s."""
    return settled(DirectWorld(spec_schema, MODELS))


def settled(world: DirectWorld, **analysis: Any) -> DirectWorld:
    release(world, "http://models/1", **analysis)
    world.run(90)
    return world


def seconds_exposed(world: DirectWorld) -> int:
    """From the candidate's first share of the requests to its last."""
    return world.second_of("event RolledBack") - world.second_of("event CanaryStep")


def turns(world: DirectWorld, uri: str) -> None:
    """The candidate behaves as another model from now on."""
    world.models = {**world.models, "http://models/2": MODELS[uri]}


def why(world: DirectWorld) -> str:
    """Why the newest rollout ended."""
    newest = world.status["history"][0]
    return f"{newest['outcome']}: {newest['reason']}"


def says(world: DirectWorld) -> tuple[str, str]:
    analysis = world.status["analysis"]
    return str(analysis["reason"]), analysis["message"]


def test_a_failing_canary_goes_back_in_three_seconds_at_a_scrape_interval_of_30(world: DirectWorld) -> None:
    release(world, "http://models/failing")
    world.run(30)

    assert seconds_exposed(world) <= 3
    assert "read directly from the routers" in world.status["history"][0]["message"]
    assert not world.poller.is_asking


def test_a_slow_canary_of_five_percent_goes_back_in_five_seconds(world: DirectWorld) -> None:
    release(world, "http://models/slow", 5)
    world.run(30)

    assert why(world) == "RolledBack: LatencyWorse"
    assert seconds_exposed(world) <= 5


def test_a_failing_canary_goes_back_as_fast_while_prometheus_is_away(world: DirectWorld) -> None:
    world.prometheus_up = False
    release(world, "http://models/failing")
    world.run(30)

    assert seconds_exposed(world) <= 3


def test_a_promotion_waits_for_prometheus_and_says_so(world: DirectWorld) -> None:
    world.prometheus_up = False
    release(world, "http://models/2")
    world.run(90)
    assert world.status["traffic"]["candidate"] == 10
    assert says(world) == ("MetricsUnavailable", "Prometheus at http://prometheus can't be reached")

    world.prometheus_up = True
    world.run(90)
    assert why(world) == "Promoted: EvidenceAcceptable"


def test_a_percentile_that_is_added_meanwhile_is_judged_as_carefully_while_prometheus_is_away(
    world: DirectWorld,
) -> None:
    world.prometheus_up = False
    release(world, "http://models/2", lasting="10m")
    world.run(30)
    release(world, "http://models/2", lasting="10m", latency={"quantiles": [75]})
    world.run(10)

    fold = world.judge.collector._folds["shop", "digits"]
    assert fold.test.parameters.overdispersion.latency == {75: LARGEST}


def promoted_at(world: DirectWorld) -> int:
    release(world, "http://models/2")
    world.run(250)
    return world.second_of("event Promoted")


def test_equal_models_are_promoted_no_later_than_by_prometheus(spec_schema: Mapping[str, Any]) -> None:
    directly, scraped = (settled(DirectWorld(spec_schema, MODELS), source=source) for source in ("Auto", "Prometheus"))

    assert promoted_at(directly) <= promoted_at(scraped)


@pytest.mark.parametrize("seconds", [1, 2, 5, 15, 60])
def test_an_equal_model_is_promoted_at_any_scrape_interval(spec_schema: Mapping[str, Any], seconds: int) -> None:
    world = DirectWorld(spec_schema, MODELS)
    world.scrape = seconds
    world.restart()
    settled(world, interval=f"{seconds}s")
    release(world, "http://models/2", interval=f"{seconds}s")
    world.run(300)

    assert why(world) == "Promoted: EvidenceAcceptable"


def test_prometheus_goes_on_where_no_router_answers_any_more_and_nothing_counts_twice(world: DirectWorld) -> None:
    release(world, "http://models/2", lasting="10m")
    world.run(60)
    silence(world, SILENT)
    world.run(100)
    assert says(world)[1].count("read from Prometheus, as no router answers") == 1
    silence(world, None)
    world.run(10)

    assert exposed(world) == world.counted(candidate(world))
    turns(world, "http://models/failing")
    silence(world, SILENT)
    world.run(75)
    assert why(world).startswith("RolledBack: ErrorRate")


def test_both_may_come_and_go_and_nothing_counts_twice(world: DirectWorld) -> None:
    release(world, "http://models/2", lasting="20m")
    for each in range(12):
        silence(world, SILENT if each % 3 == 1 else None)
        world.prometheus_up = each % 4 != 2
        world.run(17 + each % 5)
    silence(world, None)
    world.run(5)

    assert world.status["traffic"]["candidate"] == 10
    assert exposed(world) == world.counted(candidate(world))


def test_a_look_that_waited_for_prometheus_counts_nothing_twice(world: DirectWorld) -> None:
    release(world, "http://models/2", lasting="10m")
    world.run(60)
    waiting: list[Callable[[], Any]] = []
    world.judge = replace(world.judge, pool=Waiting(waiting))
    world._reconciler = replace(world._reconciler, judge=world.judge)
    world.run(20)
    assert exposed(world) == world.counted(candidate(world))
    waiting[0]()

    assert exposed(world) == world.counted(candidate(world))


def test_what_routers_tell_is_decided_by_while_prometheus_hangs_right_after_a_shift(world: DirectWorld) -> None:
    release(world, "http://models/2", lasting="10m")
    world.run_until(lambda: "event CanaryStep" in " ".join(world.transcript))
    world.judge = replace(world.judge, pool=Waiting([]), _last={})
    world._reconciler = replace(world._reconciler, judge=world.judge)
    world.run(8)

    assert says(world) == ("MetricsUnavailable", "Prometheus' answer is still to come")


class Waiting:
    """A pool whose threads are all busy."""

    def __init__(self, jobs: list[Callable[[], Any]]) -> None:
        self.jobs = jobs

    def ask(self, key: tuple[str, str], job: Callable[[], Any]) -> Any:
        self.jobs.append(job)
        return None


@pytest.mark.parametrize("interval", ["5s", "30s"])
def test_a_clock_that_is_set_back_hides_no_failure(spec_schema: Mapping[str, Any], interval: str) -> None:
    world = SetBack(spec_schema, MODELS)
    settled(world)
    release(world, "http://models/2", lasting="10m", interval=interval)
    world.run(60)
    world.set_clocks(timedelta(seconds=-20))
    turns(world, "http://models/failing")
    world.run(8)

    assert why(world).startswith("RolledBack: ErrorRate")


class SetBack(DirectWorld, Disturbed):
    """A world whose clocks may be set."""

    def run(self, seconds: float) -> None:
        World.run(self, seconds)

    def steady(self) -> float:
        return Disturbed.steady(self)


def test_an_operator_that_restarts_goes_on_and_nothing_counts_twice(world: DirectWorld) -> None:
    release(world, "http://models/2", lasting="10m")
    world.run(95)
    world.restart()
    world.run(10)

    assert exposed(world) == world.counted(candidate(world))
    turns(world, "http://models/failing")
    world.run(20)
    assert why(world).startswith("RolledBack: ErrorRate")


def test_what_was_counted_before_a_restart_is_judged_again_when_prometheus_comes(world: DirectWorld) -> None:
    world.prometheus_up = False
    release(world, "http://models/2", lasting="10m")
    world.run(95)
    world.restart()
    world.run(5)
    counted = world.judge.collector._folds["shop", "digits"].test.candidate.requests
    world.prometheus_up = True
    world.run(10)

    fold = world.judge.collector._folds["shop", "digits"]
    assert fold.baseline
    assert fold.test.candidate.requests >= counted > 0


def silence(world: DirectWorld, error: TidegateError | None) -> None:
    for router in world.behind.values():
        router.fails_with = error


def candidate(world: DirectWorld) -> str:
    return str(world.status["candidate"]["revision"])


def exposed(world: DirectWorld) -> int:
    """Requests of the candidate that have been counted by now, once or more."""
    world.reconcile()
    return world.judge.collector.exposed("shop", "digits").requests


@pytest.mark.parametrize("ahead", [10, -10])
def test_clocks_that_are_apart_do_not_matter(world: DirectWorld, spec_schema: Mapping[str, Any], ahead: int) -> None:
    other = settled(DirectWorld(spec_schema, MODELS))
    other.behind["router-a"].clock = timedelta(seconds=ahead)
    for each in (world, other):
        release(each, "http://models/failing")
        each.run(30)

    assert other.transcript == world.transcript


def test_a_router_that_restarts_between_two_reads_counts_on(world: DirectWorld) -> None:
    release(world, "http://models/2", lasting="10m")
    world.run(60)
    before = exposed(world)
    world.restart_router("router-a")
    world.run(20)

    assert exposed(world) - before == 10 * 20
    assert says(world)[0] == "NoWorse"
    turns(world, "http://models/failing")
    world.run(10)
    assert why(world).startswith("RolledBack: ErrorRate")


def test_a_router_that_restarts_again_and_again_counts_on(world: DirectWorld) -> None:
    release(world, "http://models/2", lasting="10m")
    world.run(60)
    before = exposed(world)
    for _ in range(4):
        world.restart_router("router-a")
        world.run(20)

    assert exposed(world) - before == 10 * 80
    assert says(world)[0] == "NoWorse"


def one_is_silent(world: DirectWorld) -> None:
    world.behind["router-b"].fails_with = SILENT


def one_is_not_signed(world: DirectWorld) -> None:
    world.behind["router-b"].fails_with = NotEvidence("the answer isn't signed with the key of this installation")


def one_is_of_another_version(world: DirectWorld) -> None:
    world.behind["router-b"].fails_with = NotEvidence("it answers in version 2, not in 1")


def one_tells_of_what_was_not_asked(world: DirectWorld) -> None:
    world.behind["router-b"].adds = 'envoy_cluster_upstream_rq_completed{envoy_cluster_name="shop/digits/liar"} 7\n'


def one_is_cut(world: DirectWorld) -> None:
    world.behind["router-b"].adds = "envoy_cluster_upstream_rq_completed{envoy_cluster_na"


UNTRUSTED = [one_is_silent, one_is_not_signed, one_is_of_another_version, one_tells_of_what_was_not_asked, one_is_cut]


@pytest.mark.parametrize("happens", UNTRUSTED)
def test_a_failing_canary_goes_back_by_what_the_other_router_tells(
    world: DirectWorld, happens: Callable[[DirectWorld], None]
) -> None:
    happens(world)
    release(world, "http://models/failing")
    world.run(30)

    assert seconds_exposed(world) <= 6


@pytest.mark.parametrize("happens", UNTRUSTED)
def test_what_a_router_does_not_tell_withholds_a_promotion_where_only_routers_are_believed(
    spec_schema: Mapping[str, Any], happens: Callable[[DirectWorld], None]
) -> None:
    world = settled(DirectWorld(spec_schema, MODELS), source="Routers")
    happens(world)
    release(world, "http://models/2", source="Routers")
    world.run(60)

    assert world.status["traffic"]["candidate"] == 10
    reason, message = says(world)
    assert reason == "RouterSilent"
    assert message.startswith("the counters of router router-b aren't known: ")


def test_prometheus_tells_what_a_silent_router_counts(world: DirectWorld) -> None:
    one_is_silent(world)
    release(world, "http://models/2")
    world.run(250)

    assert why(world) == "Promoted: EvidenceAcceptable"


def test_prometheus_tells_what_a_router_counts_that_has_never_answered(world: DirectWorld) -> None:
    one_is_silent(world)
    release(world, "http://models/2", lasting="20m")
    world.run(300)

    assert world.counted(candidate(world)) - exposed(world) < 10 * (2 * world.scrape + 5) / 2
    world.behind["router-b"].fails_with = None
    world.run(10)
    one_is_silent(world)
    missed = world.counted(candidate(world)) - exposed(world)
    world.run(400)  # for longer than what it told itself is kept
    world.behind["router-b"].fails_with = None
    world.run(10)
    assert world.counted(candidate(world)) - exposed(world) == missed


def test_what_prometheus_is_in_doubt_of_covers_no_silent_router(world: DirectWorld) -> None:
    release(world, "http://models/2", lasting="60s")
    one_is_silent(world)
    world.run(30)
    lose_counts(world, "router-a")
    world.run(120)

    assert world.status["traffic"]["candidate"] == 10
    assert says(world)[0] in ("CountersWentBack", "RouterSilent")


def test_counters_that_went_back_are_doubted_in_every_look(world: DirectWorld) -> None:
    release(world, "http://models/2", lasting="60s")
    world.run(20)
    lose_counts(world, "router-a")
    world.run(150)

    assert world.status["traffic"]["candidate"] == 10
    assert says(world)[0] == "CountersWentBack"
    assert "event MetricsSeen" not in "".join(world.transcript)


@pytest.mark.parametrize("source", ["Auto", "Routers", "Prometheus"])
@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        pytest.param("http://models/2", "Promoted: EvidenceAcceptable", id="as good"),
        pytest.param("http://models/failing", "RolledBack: ErrorRateWorse", id="worse"),
    ],
)
def test_a_revision_that_goes_and_comes_back_counts_from_nothing_and_is_believed(
    spec_schema: Mapping[str, Any], source: str, uri: str, expected: str
) -> None:
    world = settled(DirectWorld(spec_schema, MODELS), source=source)
    world.run(300)
    world.be_made_anew(world.status["stable"]["revision"], 100)
    world.run(70)
    release(world, uri, source=source)
    world.run(280)

    assert why(world) == expected
    assert "CountersWentBack" not in "".join(world.transcript)


def test_a_cluster_that_goes_and_comes_back_amid_a_rollout_is_counted_once_and_believed(world: DirectWorld) -> None:
    release(world, "http://models/2", lasting="3m")
    world.run(30)
    before = exposed(world)
    world.be_made_anew(candidate(world), 40)
    world.run(40)

    seen, counted = exposed(world), world.counted(candidate(world))
    assert 0 <= before + counted - seen <= 2 * 10
    world.run(300)
    assert why(world) == "Promoted: EvidenceAcceptable"
    assert "CountersWentBack" not in "".join(world.transcript)


def lose_counts(world: DirectWorld, name: str) -> None:
    """All counters of a router fall, and it doesn't say that it began anew."""
    world.restart_router(name)
    world.behind[name].started = START - timedelta(hours=1)


class ByAddress(DirectWorld):
    """Prometheus knows routers by their addresses, and by nothing else."""

    def _scraped(self, promql: str, since: datetime, until: datetime) -> Iterator[Scraped]:
        addresses = {name: f"10.0.0.{number}:9902" for number, name in enumerate(self.applied, 1)}
        for found in super()._scraped(promql, since, until):
            labels = dict(found.labels)
            if (pod := labels.pop("pod", "")) and labels.pop("namespace"):
                labels["instance"] = addresses[pod]
            yield Scraped(labels, found.samples)


def test_nothing_counts_twice_where_prometheus_knows_routers_by_their_addresses(
    spec_schema: Mapping[str, Any],
) -> None:
    world = settled(ByAddress(spec_schema, MODELS))
    release(world, "http://models/2", lasting="10m")
    world.run(60)
    silence(world, SILENT)
    world.run(10)
    world.restart()
    world.run(90)
    assert exposed(world) > 10 * 100
    silence(world, None)
    world.run(10)

    assert exposed(world) == world.counted(candidate(world))


def test_without_a_router_that_answers_a_rollout_that_wants_one_holds_before_its_first_traffic(
    spec_schema: Mapping[str, Any],
) -> None:
    world = settled(DirectWorld(spec_schema, MODELS), source="Routers")
    silence(world, SILENT)
    release(world, "http://models/2", source="Routers")
    world.run(60)

    assert world.status["traffic"]["candidate"] == 0
    reason, message = says(world)
    assert reason == "RouterSilent"
    assert message.startswith("no router tells its counters to the operator, and spec.analysis.source is Routers; ")


def test_a_rollout_by_prometheus_asks_no_router(spec_schema: Mapping[str, Any]) -> None:
    world = settled(DirectWorld(spec_schema, MODELS), source="Prometheus")
    silence(world, AssertionError())  # type: ignore[arg-type]
    release(world, "http://models/failing", source="Prometheus")
    world.run(90)

    assert why(world).startswith("RolledBack: ErrorRate")


def test_what_prometheus_and_the_routers_tell_is_compared_and_a_difference_holds(world: DirectWorld) -> None:
    release(world, "http://models/2", lasting="4m")
    world.run(60)
    world.prometheus_share = 0.5
    world.run(190)
    assert world.status["traffic"]["candidate"] == 10
    reason, message = says(world)
    assert reason == "SourcesDiffer"
    assert "itself counted" in message

    world.prometheus_share = 1.0
    world.run(150)
    assert why(world) == "Promoted: EvidenceAcceptable"


def test_the_model_servers_tell_few_buckets_where_the_routers_latency_is_judged(
    world: DirectWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(world, "http://models/2", lasting="4m")
    world.run(60)
    told: list[Mapping[str, str]] = []
    asked = world.raw

    def raw(promql: str, since: datetime, until: datetime) -> list[Scraped]:
        found = asked(promql, since, until)
        told.extend(each.labels for each in found if each.labels["__name__"].startswith("tidegate_server"))
        return found

    monkeypatch.setattr(world, "raw", raw)
    world.run(60)

    buckets = {
        labels["le"] for labels in told if labels["__name__"] == "tidegate_server_request_duration_seconds_bucket"
    }
    assert "+Inf" in buckets
    assert len(buckets) == 3  # one more for each percentile that is judged
    assert {labels["revision"] for labels in told} == {revision for revision, _ in world.split or ()}
