"""Envoy Gateway and its Envoy, beside the cluster.

It makes a Deployment for its Envoy, whose image a cluster without a registry doesn't have. The Deployment is left
without a pod, and an Envoy of this machine runs with the arguments that stand in it.
"""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from benchmarks.programs import free_ports, wait_until
from tests.gateways.daemon import Daemon, started
from tests.gateways.gateway import NAMESPACE, Gateway, gateway, gateway_class, namespace
from tests.gateways.go_modules import program, version
from tidegate.router.envoy import find_envoy
from tidegate_demo.kubectl import Kubectl

NAME = "envoy-gateway"
SYSTEM = "envoy-gateway-system"
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
PORT = 80
LISTENS_ON = 10080
"""What Envoy Gateway makes of the Gateway's port, so that its Envoy needs no privilege."""
CERTIFICATES = Path("/certs")
"""Where it reads its own; the place can't be chosen."""
OWNED_BY = (
    f"gateway.envoyproxy.io/owning-gateway-name={NAME},gateway.envoyproxy.io/owning-gateway-namespace={NAMESPACE}"
)
ADMIN, ITS_STATS = "19000", "19001"
"""Of its Envoy, and taken by itself on this machine."""
STATS = 19101
"""Where Prometheus reads its Envoy."""
STARTS_WITHIN_SECONDS = 60.0


@contextmanager
def envoy_gateway(kubectl: Kubectl, folder: Path) -> Iterator[Gateway]:
    """A GatewayClass and a Gateway of its own, while inside."""
    kubectl.apply(yaml.safe_dump_all([namespace(NAMESPACE), namespace(SYSTEM)]))
    environment = {"KUBECONFIG": str(kubectl.kubeconfig), "ENVOY_GATEWAY_NAMESPACE": SYSTEM}
    certgen = [str(program(NAME)), "certgen", "--disable-topology-injector"]
    subprocess.run(certgen, env={**os.environ, **environment}, check=True, capture_output=True)
    config = folder / "envoy-gateway.yaml"
    config.write_text(yaml.safe_dump(_settings()))
    controller = Daemon(NAME, [str(program(NAME)), "server", "-c", str(config)], folder, environment)
    with _certificates(kubectl), started(controller):
        parameters = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": NAME, "namespace": NAMESPACE}
        manifests = [_without_pods(), gateway_class(NAME, CONTROLLER, parameters), gateway(NAME, PORT)]
        kubectl.apply(yaml.safe_dump_all(manifests))
        wait_until(
            lambda: bool(_deployments(kubectl)),
            "Envoy Gateway makes its Envoy's Deployment",
            STARTS_WITHIN_SECONDS,
            controller.process,
            controller.log,
        )
        (admin,) = free_ports(1)
        with started(_envoy(kubectl, folder, admin)):
            yield Gateway(f"Envoy Gateway {version(NAME).removeprefix('v')}", NAME, LISTENS_ON, STATS, controller)


def _settings() -> dict[str, Any]:
    kubernetes = {"leaderElection": {"disable": True}, "proxyTopologyInjector": {"disabled": True}}
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyGateway",
        "provider": {"type": "Kubernetes", "kubernetes": kubernetes},
        "gateway": {"controllerName": CONTROLLER},
    }


def _without_pods() -> dict[str, Any]:
    kubernetes = {"envoyDeployment": {"replicas": 0}, "envoyService": {"type": "ClusterIP"}}
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyProxy",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"provider": {"type": "Kubernetes", "kubernetes": kubernetes}},
    }


@contextmanager
def _certificates(kubectl: Kubectl) -> Iterator[None]:
    CERTIFICATES.mkdir(exist_ok=True)
    try:
        _write_secret(kubectl, "envoy-gateway", CERTIFICATES)
        yield
    finally:
        shutil.rmtree(CERTIFICATES)


def _write_secret(kubectl: Kubectl, name: str, folder: Path) -> None:
    data = json.loads(kubectl.run("--namespace", SYSTEM, "get", "secret", name, "--output", "json"))["data"]
    folder.mkdir(exist_ok=True)
    for file, content in data.items():
        (folder / file).write_bytes(base64.b64decode(content))


def _envoy(kubectl: Kubectl, folder: Path, admin: int) -> Daemon:
    (deployment,) = _deployments(kubectl)
    certificates, sds = folder / "envoy-certificates", folder / "envoy-sds"
    _write_secret(kubectl, "envoy", certificates)
    sds.mkdir(exist_ok=True)
    config = _get(kubectl, "configmap", "--field-selector", f"metadata.name={deployment['metadata']['name']}")[0]
    for file, content in config["data"].items():
        (sds / file).write_text(content.replace("/certs/", f"{certificates}/"))
    containers = deployment["spec"]["template"]["spec"]["containers"]
    arguments = next(container["args"] for container in containers if container["name"] == "envoy")
    told = [on_this_machine(each, sds, admin) for each in arguments]
    return Daemon("envoy-gateway-envoy", [find_envoy(), *told, "--concurrency", "2", "--base-id", "77"], folder)


def on_this_machine(argument: str, sds: Path, admin: int) -> str:
    """An argument of Envoy's container, for an Envoy outside of the cluster. Pure."""
    replaced: Mapping[str, str] = {
        "$(ENVOY_POD_NAME)": NAME,
        "$(ENVOY_POD_NAMESPACE)": SYSTEM,
        "$(ENVOY_SERVICE_ZONE)": "here",
        f"envoy-gateway.{SYSTEM}.svc.cluster.local.": "127.0.0.1",
        f"envoy-gateway.{SYSTEM}.svc.cluster.local": "127.0.0.1",
        "/sds/": f"{sds}/",
        ADMIN: str(admin),
        ITS_STATS: str(STATS),
    }
    for old, new in replaced.items():
        argument = argument.replace(old, new)
    return argument


def _deployments(kubectl: Kubectl) -> list[dict[str, Any]]:
    return _get(kubectl, "deployments", "--selector", OWNED_BY)


def _get(kubectl: Kubectl, *what: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]]
    items = json.loads(kubectl.run("--namespace", SYSTEM, "get", *what, "--output", "json"))["items"]
    return items
