"""Contour and its Envoy, beside the cluster."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from benchmarks.programs import free_ports, wait_until
from tests.gateways.daemon import Daemon, started
from tests.gateways.gateway import NAMESPACE, Gateway, gateway, gateway_class, namespace
from tests.gateways.go_modules import program, version
from tidegate.router.envoy import find_envoy
from tidegate_demo.kubectl import Kubectl

NAME = "contour"
CONTROLLER = "projectcontour.io/gateway-controller"
PORT = 90
LISTENS_ON = 8090
"""What Contour makes of the Gateway's port, so that its Envoy needs no privilege."""
STATS = 8002
"""Where Prometheus reads its Envoy."""
STARTS_WITHIN_SECONDS = 60.0


@contextmanager
def contour(kubectl: Kubectl, folder: Path) -> Iterator[Gateway]:
    """A GatewayClass and a Gateway of its own, while inside."""
    manifests = [
        namespace(NAMESPACE),
        namespace("projectcontour"),
        gateway_class(NAME, CONTROLLER),
        gateway(NAME, PORT),
    ]
    kubectl.apply(yaml.safe_dump_all(manifests))
    xds, metrics, debug, health = free_ports(4)
    config = folder / "contour.yaml"
    config.write_text(yaml.safe_dump({"gateway": {"gatewayRef": {"name": NAME, "namespace": NAMESPACE}}}))
    controller = Daemon(
        "contour",
        [
            *(str(program(NAME)), "serve", "--insecure", f"--kubeconfig={kubectl.kubeconfig}"),
            *("--xds-address=127.0.0.1", f"--xds-port={xds}", f"--stats-port={STATS}"),
            *(f"--http-port={metrics}", f"--debug-http-port={debug}", f"--health-port={health}"),
            *("--disable-leader-election", f"--config-path={config}"),
        ],
        folder,
    )
    with started(controller), started(_envoy(folder, xds)) as envoy:
        # The listener itself appears with the first route.
        wait_until(
            lambda: _accepted(kubectl),
            "Contour accepts its Gateway",
            STARTS_WITHIN_SECONDS,
            envoy.process,
            controller.log,
        )
        yield Gateway(f"Contour {version(NAME).removeprefix('v')}", NAME, LISTENS_ON, STATS, controller)


def _envoy(folder: Path, xds: int) -> Daemon:
    bootstrap = folder / "contour-envoy.json"
    subprocess.run(
        [
            *(str(program(NAME)), "bootstrap", str(bootstrap)),
            *("--xds-address=127.0.0.1", f"--xds-port={xds}", f"--admin-address={folder}/contour-admin.sock"),
        ],
        check=True,
        capture_output=True,
    )
    command = [find_envoy(), "-c", str(bootstrap), "--service-cluster", "contour", "--service-node", "contour-1"]
    return Daemon("contour-envoy", [*command, "--concurrency", "2", "--base-id", "78", "-l", "warn"], folder)


def _accepted(kubectl: Kubectl) -> bool:
    condition = 'jsonpath={.status.conditions[?(@.type=="Accepted")].status}'
    return kubectl.run("--namespace", NAMESPACE, "get", "gateway", NAME, "--output", condition) == "True"
