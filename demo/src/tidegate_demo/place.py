"""Where the story plays: names in the cluster, the way to it, and Tidegate itself, installed there by Helm."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidegate_demo.cluster.contexts import DemoCluster, Kind, OneNode
from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.cluster.layout import NODE_ADDRESS
from tidegate_demo.cluster.programs import HELM, obtain
from tidegate_demo.cluster.progress import step

RELEASE, RELEASE_NAMESPACE = "tidegate", "tidegate-system"
ROUTER_SERVICE, ROUTER_PORT = "tidegate-router", 80
OPERATOR_PODS = "app.kubernetes.io/name=tidegate,app.kubernetes.io/component=operator"
NAMESPACE, NAME = "demo", "digits"
HOST = f"{NAME}.{NAMESPACE}"
IMAGE_TAG = "demo"
SCRAPE_SECONDS = 2
NO_SETTINGS: Mapping[str, object] = {}
HOST_ADDRESS = "TIDEGATE_HOST_ADDRESS"
REPOSITORY = Path(__file__).resolve().parents[3]
CHART = REPOSITORY / "charts" / "tidegate"
EXAMPLES = REPOSITORY / "examples" / "digits"
RESULTS = REPOSITORY / "build" / "demo"  # git leaves it alone: a run changes no file of the repository


def host_address(cluster: DemoCluster, environment: Mapping[str, str] = os.environ) -> str:
    """An address of this machine that the cluster's pods reach, for the file server with the models."""
    if given := environment.get(HOST_ADDRESS):
        return given
    if isinstance(cluster, OneNode):
        return NODE_ADDRESS
    if isinstance(cluster, Kind):
        return _docker_gateway()
    raise ClusterError(f"pods fetch the models from this machine: give an address that they reach in {HOST_ADDRESS}")


def _docker_gateway() -> str:
    """kind's nodes are containers of the Docker network `kind`; its IPv4 gateway is this machine."""
    said = _output("docker", "network", "inspect", "kind")
    ranges: list[dict[str, str]] = json.loads(said)[0]["IPAM"]["Config"]
    for given in ranges:
        if "." in given.get("Gateway", ""):
            return given["Gateway"]
    raise ClusterError(f"Docker's network `kind` has no IPv4 gateway; give this machine's address in {HOST_ADDRESS}")


def chart_values(image_prefix: str, prometheus: str, build: str = "") -> dict[str, Any]:
    """The chart's values for the demo. `prometheus` is its URL for pods; `image_prefix` ends with a slash.

    `build` tells one build of an image from the next, which has the same tag: pods of the last one make way.
    """
    return {
        "prometheus": {"url": prometheus, "scrapeIntervalSeconds": SCRAPE_SECONDS},
        "podAnnotations": {"tidegate.dev/build": build},
        "image": {"repository": f"{image_prefix}operator", "tag": IMAGE_TAG},
        "server": {"image": {"repository": f"{image_prefix}server", "tag": IMAGE_TAG}},
    }


def build_of(images: Mapping[str, str]) -> str:
    """The digest of the operator image's inputs; empty where the cluster pulls its images."""
    return next((digest for name, digest in images.items() if name.endswith(f"operator:{IMAGE_TAG}")), "")


def install_chart(
    cluster: DemoCluster,
    prometheus: str,
    build: str = "",
    settings: Mapping[str, object] = NO_SETTINGS,
    chart: Path = CHART,
) -> None:
    """Installs or upgrades the chart; returns when operator and router are ready. Raises ClusterError.

    `settings` are further values of the chart by their path, such as `operator.replicas`.
    """
    context = ("--kube-context", cluster.context) if cluster.context else ()
    further = [part for path, value in settings.items() for part in ("--set-json", f"{path}={json.dumps(value)}")]
    with step("Installing the chart with Helm"):
        _output(
            str(obtain(HELM)),
            *("--kubeconfig", str(cluster.kubeconfig), *context),
            *("upgrade", "--install", RELEASE, str(chart)),
            *("--namespace", RELEASE_NAMESPACE, "--create-namespace", "--wait", "--timeout", "3m"),
            *("--values", "-", *further),
            given=json.dumps(chart_values(cluster.image_prefix, prometheus, build)),
        )


def _output(*command: str, given: str | None = None) -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"`{Path(command[0]).name}` failed: {done.stderr.strip()}")
    return done.stdout
