"""Builds the operator's parts and runs them under kopf until it is asked to stop."""

import argparse
import gc
import logging
import os
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import kopf

from tidegate.controller.checkpoints import Checkpoints
from tidegate.controller.handlers import RESYNC_SECONDS, Parts, is_urgent, register, resync
from tidegate.controller.judging import RolloutJudge
from tidegate.controller.observe import followed_kinds
from tidegate.controller.operator_metrics import OperatorMetrics
from tidegate.controller.reconciler import Reconciler
from tidegate.controller.refusals import Refusals
from tidegate.controller.workqueue import WorkQueue
from tidegate.errors import CallFailed, InvalidSpec
from tidegate.gates.gatekeeper import AllGates, Gatekeeper
from tidegate.gates.job import JobGates
from tidegate.gates.registry import RegistryGates
from tidegate.gates.webhook import WebhookGates
from tidegate.kube.api import KubernetesApi, load_config
from tidegate.kube.cluster import KubernetesCluster
from tidegate.kube.leader_election import LeaderElection
from tidegate.kube.routers import Routers
from tidegate.kube.sampling_key import SamplingKey
from tidegate.metrics.checkpoint import Kept
from tidegate.metrics.circuit_breaker import CircuitBreaker
from tidegate.metrics.collector import MetricsCollector
from tidegate.metrics.direct import DirectRouters, no_samples
from tidegate.metrics.providers.prometheus import PrometheusMetrics
from tidegate.metrics.providers.prometheus_auth import PrometheusAccess
from tidegate.metrics.providers.router_client import HeldKey, HttpRouterClient
from tidegate.metrics.providers.router_samples import RouterPod
from tidegate.metrics.providers.routers import RouterPoller
from tidegate.metrics.query_pool import QueryPool
from tidegate.model.notification import Receiver, parse_receivers
from tidegate.model.traffic import Arms
from tidegate.notifiers.outbox import Outbox
from tidegate.registries.follower import Follower
from tidegate.registries.resolver import Registries
from tidegate.settings import Settings
from tidegate.webhooks.addresses import AddressRules, Proxy
from tidegate.webhooks.caller import Caller
from tidegate.webhooks.client import WebhookClient
from tidegate.webhooks.dispatcher import Dispatcher

CONFIG_SETTLES_SECONDS = 2.0
"""From a change of a ConfigMap or Secret to a look at it: whoever changes it may be about to change the spec, too."""
THREADS_FOR_COUNTERS, THREADS_FOR_QUERIES, THREADS_FOR_NOTIFICATIONS = 4, 2, 4
THREADS_FOR_REGISTRIES, MOST_FOLLOWED = 4, 10_000
OBJECTS_COLLECTED_AT = (10_000, 20, 20)
"""Routers tell thousands of counters a second, each for some seconds, and hardly any is part of a circle."""


def main(argv: Sequence[str]) -> int:
    """Runs the operator; returns when it was asked to stop. Raises InvalidSpec on settings that make no sense."""
    parser = argparse.ArgumentParser(prog="tidegate operator", description="Decides and writes, in the cluster.")
    parser.epilog = "It takes no options; its settings are environment variables TIDEGATE_…, which the chart sets."
    parser.parse_args(argv)
    settings = Settings.from_env(os.environ)
    load_config()
    parts = build(settings)
    registry = kopf.OperatorRegistry()
    register(registry, parts)
    # Modules and wiring stay for good: without this the collector goes through all of them again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*OBJECTS_COLLECTED_AT)
    stopped = threading.Event()
    threading.Thread(target=_resync_until, args=(parts, stopped), name="resync", daemon=True).start()
    for chatty in ("kopf", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        kopf.run(
            registry=registry,
            standalone=True,
            # Without one it would ask for the user's name, which a container hasn't. Its type is kopf's own name for
            # a string, which isn't public; a test says that it still is one.
            identity=cast(Any, settings.identity),
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            liveness_endpoint=f"http://0.0.0.0:{settings.health_port}/healthz",
        )
    finally:
        stopped.set()
    return 0


def build(settings: Settings) -> Parts:
    """Wires the parts; nothing runs yet."""
    operator_metrics = OperatorMetrics()
    api = KubernetesApi(asked=operator_metrics.client.asked)
    leader_election = LeaderElection(api, settings.namespace, settings.lease, settings.identity)
    routers = Routers(api, settings.namespace, settings.router_service.partition(".")[0])
    cluster = KubernetesCluster(
        api,
        followed_kinds(settings),
        lambda ns, name: changed(ns, name),
        settings.namespaces,
        settings.identity,
        leader_election,
        routers,
        config_changed=lambda ns, name: config_changed(ns, name),
        secret_key=_secret_key(api, settings),
    )
    access = PrometheusAccess.of(settings.prometheus_secret)
    prometheus = PrometheusMetrics(
        settings.prometheus_url, access, settings.prometheus_queries, operator_metrics.client.queried
    )
    sampling_key = SamplingKey(api, settings.namespace, settings.sampling_secret)
    samples = no_samples(_seconds_now)
    poller = RouterPoller(
        samples,
        lambda: [RouterPod(settings.namespace, router.name, router.address) for router in cluster.routers()],
        HttpRouterClient(HeldKey(sampling_key.current), sampling_key.doubt),
        lambda ns, name: workqueue.nudge(ns, name),
        operator_metrics.client.refused_answer,
        may_ask=leader_election.held,
    )
    judge = _judge(
        prometheus,
        DirectRouters(samples, poller) if settings.sampling_secret else None,
        lambda ns, name: changed(ns, name),
        Checkpoints(cluster).kept,
    )
    client = WebhookClient(AddressRules(settings.refused_networks), _proxy(settings))
    caller, registries = Caller(client, api, _seconds_now), Registries(client, api)
    reconciler = Reconciler(
        cluster,
        judge,
        settings,
        operator_metrics.evidence.observe_decision,
        operator_metrics.evidence.forget,
        refusals=Refusals(operator_metrics.client.refused_write),
        gatekeeper=Gatekeeper(
            Dispatcher(),
            AllGates(
                WebhookGates(caller),
                JobGates(api, settings.fixed_ids, settings.operator_image),
                RegistryGates(registries),
            ),
            lambda ns, name: changed(ns, name),
        ),
        outbox=Outbox(
            Dispatcher(threads=THREADS_FOR_NOTIFICATIONS),
            caller,
            lambda ns, name: changed(ns, name),
            for_all=_receivers(settings),
            namespace=settings.namespace,
            count=operator_metrics.client.notified,
            registries=registries,
        ),
        follower=Follower(
            Dispatcher(threads=THREADS_FOR_REGISTRIES, most=MOST_FOLLOWED),
            registries,
            lambda ns, name: changed(ns, name),
            leader_election.held,
        ),
    )
    workqueue = WorkQueue(
        reconciler.reconcile,
        workers=settings.workers,
        may_work=lambda: leader_election.held() and cluster.complete(),
        urgent=lambda ns, name: is_urgent(cluster.model_deployment(ns, name)),
        listener=operator_metrics.queue,
    )

    def changed(namespace: str, name: str) -> None:
        reconciler.glances.changed(namespace, name)
        workqueue.enqueue(namespace, name)

    def config_changed(namespace: str, name: str) -> None:
        reconciler.glances.changed(namespace, name)
        workqueue.enqueue(namespace, name, CONFIG_SETTLES_SECONDS)

    _follow(operator_metrics, settings, api, cluster, leader_election, workqueue, routers)
    return Parts(settings, cluster, workqueue, leader_election, operator_metrics, sampling_key, poller)


def _follow(
    operator_metrics: OperatorMetrics,
    settings: Settings,
    api: KubernetesApi,
    cluster: KubernetesCluster,
    leader_election: LeaderElection,
    workqueue: WorkQueue,
    routers: Routers,
) -> None:
    """Has the metrics show what there is."""

    def reports() -> dict[str, float]:
        return {f"{settings.namespace}/{name}": seconds for name, seconds in routers.silent_seconds().items()}

    for informer in cluster.informers():
        operator_metrics.export_age(informer.kind.resource.kind, informer.namespace or "", informer.silent_seconds)
    operator_metrics.client.follow(api.host, settings.lease, leader_election.held, reports)
    operator_metrics.queue.follow(workqueue, leader_election.held)
    operator_metrics.rollouts.follow(cluster.model_deployments, leader_election.held, _seconds_now)
    operator_metrics.evidence.follow(lambda: leader_election.writer.epoch if leader_election.held() else None)
    cluster.changed_from = operator_metrics.rollouts.recorded


def _proxy(settings: Settings) -> Proxy | None:
    try:
        return Proxy.parse(settings.webhooks_proxy, settings.webhooks_no_proxy)
    except CallFailed:
        message = (
            "the environment variable TIDEGATE_WEBHOOKS_PROXY, the chart's webhooks.proxy, must be http://HOST:PORT"
        )
        raise InvalidSpec(message) from None


def _receivers(settings: Settings) -> tuple[Receiver, ...]:
    try:
        return parse_receivers(settings.notifications)
    except (KeyError, ValueError, TypeError, AttributeError):
        # Without the error's own words, which may repeat an address.
        raise InvalidSpec("the chart's notifications must be a list as spec.notifications has it") from None


def _secret_key(api: KubernetesApi, settings: Settings) -> Callable[[], bytes | None] | None:
    """The same for as long as the operator runs: with another, all content would seem to have changed."""
    if not settings.follow_secrets:
        return None
    stored = SamplingKey(api, settings.namespace, settings.config_secret, "Secrets' content can't be told")
    known: list[bytes] = []

    def key() -> bytes | None:
        if not known and (found := stored.current()):
            known.append(found)
        return known[0] if known else None

    return key


def _seconds_now() -> float:
    return datetime.now(UTC).timestamp()  # noqa: TID251 - when routers are asked


def _judge(
    prometheus: PrometheusMetrics,
    direct: DirectRouters | None,
    answered: Callable[[str, str], None],
    kept: Callable[[Arms], Kept | None],
) -> RolloutJudge:
    """Counters and the users' own queries wait on threads of their own, and one that hangs isn't asked on and on."""
    collector = MetricsCollector(
        CircuitBreaker(prometheus),
        for_queries=CircuitBreaker(prometheus),
        queries=QueryPool(THREADS_FOR_QUERIES, answered),
        kept=kept,
        direct=direct,
    )
    return RolloutJudge(collector, QueryPool(THREADS_FOR_COUNTERS, answered))


def _resync_until(parts: Parts, stopped: threading.Event) -> None:
    while not stopped.wait(RESYNC_SECONDS):
        resync(parts)
