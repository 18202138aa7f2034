"""Builds the operator's parts and runs them under kopf until it is told to stop."""

import gc
import logging
import threading
from collections.abc import Mapping

import kopf
from kopf._core.engines.peering import Identity

from tidegate.clients.cluster import KubernetesCluster
from tidegate.clients.gauges import Gauges
from tidegate.clients.kubernetes_api import KubernetesApi, load_config
from tidegate.clients.lease import Leadership
from tidegate.clients.prometheus import PrometheusMetrics
from tidegate.clients.prometheus_access import PrometheusAccess
from tidegate.clients.sight import Witness
from tidegate.driver import Driver
from tidegate.handlers import RESYNC_SECONDS, Parts, register, resync
from tidegate.reconcile import Reconciler
from tidegate.settings import Settings


def run(environ: Mapping[str, str]) -> int:
    """Runs the operator; returns when it was asked to stop. Raises InvalidSpec on settings that make no sense."""
    settings = Settings.from_env(environ)
    load_config()
    parts = build(settings)
    registry = kopf.OperatorRegistry()
    register(registry, parts)
    # Modules and wiring stay for good: without this the collector goes through all of them again and again.
    gc.collect()
    gc.freeze()
    stopped = threading.Event()
    threading.Thread(target=_resync_until, args=(parts, stopped), name="resync", daemon=True).start()
    for chatty in ("kopf", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        kopf.run(
            registry=registry,
            standalone=True,
            identity=Identity(settings.identity),  # it would ask for the user's name, which a container hasn't
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            liveness_endpoint=f"http://0.0.0.0:{settings.health_port}/healthz",
        )
    finally:
        stopped.set()
    return 0


def build(settings: Settings) -> Parts:
    """Wires the parts; nothing runs yet."""
    api = KubernetesApi()
    gauges = Gauges()
    cluster = KubernetesCluster(
        api, lambda ns, name: driver.look_soon(ns, name), settings.namespaces, settings.identity
    )
    leadership = Leadership(api, settings.namespace, settings.identity)
    access = PrometheusAccess.of(settings.prometheus_secret)
    witness = Witness(PrometheusMetrics(settings.prometheus_url, access))
    reconciler = Reconciler(cluster, witness, settings, gauges.told, gauges.forget)
    driver = Driver(
        reconciler.reconcile,
        workers=settings.workers,
        may_work=lambda: leadership.held() and cluster.complete(),
    )
    return Parts(settings, cluster, driver, leadership, gauges)


def _resync_until(parts: Parts, stopped: threading.Event) -> None:
    while not stopped.wait(RESYNC_SECONDS):
        resync(parts)
