"""Flagger beside the cluster, with the settings of its own documentation.

Interval, threshold, weights, deadline and the check of the error rate are those of its tutorial for the Gateway API
(docs/gitbook/tutorials/gatewayapi-progressive-delivery.md). The query is what its FAQ has for Contour, whose clusters
are named NAMESPACE_SERVICE_PORT behind an HTTPRoute.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.programs import free_ports
from tests.e2e.stage import Stage
from tests.gateways import plain
from tests.gateways.daemon import Daemon, started
from tests.gateways.gateway import Manifest
from tests.gateways.go_modules import program
from tidegate_demo.kubectl import Kubectl

NAME = "digits"
CANDIDATE = f"{NAME}-canary"
INTERVAL = "1m"
ANALYSIS: Mapping[str, Any] = {"interval": INTERVAL, "threshold": 5, "maxWeight": 50, "stepWeight": 10}
MOST_ERRORS_PERCENT = 1
DEADLINE_SECONDS = 60
_OF_CANDIDATE = 'envoy_cluster_name=~"{{ namespace }}_{{ target }}-canary_.*"'
QUERY = (
    f'100 - sum(rate(envoy_cluster_upstream_rq{{{_OF_CANDIDATE},envoy_response_code!~"5.*"}}[{{{{ interval }}}}]))'
    f" / sum(rate(envoy_cluster_upstream_rq{{{_OF_CANDIDATE}}}[{{{{ interval }}}}])) * 100"
)


@contextmanager
def flagger(kubectl: Kubectl, prometheus: str, folder: Path) -> Iterator[Daemon]:
    """Its process, while inside."""
    (port,) = free_ports(1)
    command = [
        *(str(program("flagger")), f"-kubeconfig={kubectl.kubeconfig}", "-mesh-provider=gatewayapi:v1"),
        *(f"-metrics-server={prometheus}", f"-port={port}", "-log-level=info"),
    ]
    with started(Daemon("flagger", command, folder)) as daemon:
        yield daemon


def manifests(stage: Stage, parent: Mapping[str, str], prometheus: str) -> list[Manifest]:
    """The check and the Canary of one model."""
    metadata = {"namespace": stage.namespace}
    check = {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "MetricTemplate",
        "metadata": {**metadata, "name": "error-rate"},
        "spec": {"provider": {"type": "prometheus", "address": prometheus}, "query": QUERY},
    }
    metric = {
        "name": "error-rate",
        "templateRef": {"name": "error-rate"},
        "thresholdRange": {"max": MOST_ERRORS_PERCENT},
        "interval": INTERVAL,
    }
    service = {
        "port": plain.PORT,
        "targetPort": plain.SERVES_ON,
        "hosts": [stage.host],
        "gatewayRefs": [dict(parent)],
    }
    canary = {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {**metadata, "name": NAME},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
            "progressDeadlineSeconds": DEADLINE_SECONDS,
            "service": service,
            "analysis": {**ANALYSIS, "metrics": [metric]},
        },
    }
    return [check, canary]


def phase(stage: Stage) -> str:
    """Of the Canary: Initialized, Progressing, Failed, Succeeded."""
    status = json.loads(stage.run("get", "canary.flagger.app", NAME, "--output", "json")).get("status", {})
    return str(status.get("phase", ""))
