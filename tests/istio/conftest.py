"""A stage of two revisions behind a Gateway of Istio's: a real API server, istiod, and a plain Envoy."""

import itertools
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import kubernetes
import pytest
import yaml

from benchmarks.crds import until_established
from benchmarks.programs import free_ports
from tests.gateways.go_modules import GATEWAY_API, ISTIO_API, sources
from tests.istio.istiod import SYSTEM, Istiod, Proxy, istiod, proxy
from tidegate.kube.api import KubernetesApi
from tidegate.resources.revision import service_manifest

SHOP, EDGE = "shop", "istio-ingress"
STABLE, CANDIDATE = "digits-6f9c1d2e", "digits-81aa0b4c"
HOST = "digits.example.com"
PODS = "198.18.255.1"
"""Of the network that the one-node cluster has, beyond what it gives to pods."""


@dataclass(frozen=True)
class Stage:
    """`port` is the Gateway's; `istiod` and `gateway` run. Revisions answer with their names."""

    api: KubernetesApi
    istiod: Istiod
    gateway: Proxy
    port: int
    folder: Path


@pytest.fixture(scope="session")
def apply(api_server: Path, kubectl: Callable[..., CompletedProcess[str]]) -> Callable[..., None]:
    """`kubectl apply` of manifests."""
    folder, numbers = api_server.parent, itertools.count()

    def apply(*manifests: Mapping[str, Any]) -> None:
        file = folder / f"applied-{next(numbers)}.yaml"
        file.write_text(yaml.safe_dump_all(manifests))
        done = kubectl(api_server, "apply", "--server-side", "--force-conflicts", "-f", str(file))
        assert done.returncode == 0, done.stderr

    return apply


@pytest.fixture(scope="session")
def stage(
    api_server: Path,
    kubectl: Callable[..., CompletedProcess[str]],
    apply: Callable[..., None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """Two revisions with a pod each, behind one Gateway."""
    folder = tmp_path_factory.mktemp("istio")
    istios = sources("istiod", ISTIO_API) / "kubernetes" / "customresourcedefinitions.gen.yaml"
    apply(*filter(None, yaml.safe_load_all(istios.read_text())))
    for file in sorted((sources("istiod", GATEWAY_API) / "config" / "crd" / "standard").glob("gateway*.yaml")):
        apply(*filter(None, yaml.safe_load_all(file.read_text())))
    until_established(partial(kubectl, api_server))
    (port,) = free_ports(1)
    apply(*({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in (SHOP, EDGE, SYSTEM)))
    apply(gateway(port))
    kubernetes.config.load_kube_config(config_file=str(api_server))  # type: ignore[no-untyped-call]
    with ExitStack() as running:
        running.enter_context(address_of_pods())
        for revision in (STABLE, CANDIDATE):
            at = running.enter_context(answering(revision))
            apply(service(revision), pod(revision, at))
        of = running.enter_context(istiod(api_server, folder))
        envoy = running.enter_context(proxy(of, folder, "router", EDGE, {"istio": "ingress"}))
        yield Stage(KubernetesApi(), of, envoy, port, folder)


def service(revision: str) -> Mapping[str, Any]:
    """A revision's Service, as the operator writes it but for its owner."""
    manifest = service_manifest(SHOP, "digits", "u-1", revision)
    metadata = {name: value for name, value in manifest["metadata"].items() if name != "ownerReferences"}
    return {**manifest, "metadata": metadata}


@contextmanager
def address_of_pods() -> Iterator[None]:
    """PODS is one of this machine's: an API server takes no endpoint at a loopback address."""
    ip = shutil.which("ip")
    if ip is None or os.geteuid():
        pytest.skip("giving this machine another address takes ip and root")
    subprocess.run([ip, "address", "replace", f"{PODS}/32", "dev", "lo"], check=True, timeout=30)
    try:
        yield
    finally:
        subprocess.run([ip, "address", "delete", f"{PODS}/32", "dev", "lo"], check=True, timeout=30)


def pod(revision: str, port: int) -> Mapping[str, Any]:
    """What Kubernetes says of the only one of a revision."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": revision,
            "namespace": SHOP,
            "labels": {"kubernetes.io/service-name": revision, "service.kubernetes.io/headless": ""},
        },
        "addressType": "IPv4",
        "ports": [{"name": name, "port": port, "protocol": "TCP"} for name in ("http", "grpc")],
        "endpoints": [{"addresses": [PODS], "conditions": {"ready": True}}],
    }


def gateway(port: int) -> Mapping[str, Any]:
    """Istio's own kind."""
    server = {
        "port": {"number": port, "name": "http", "protocol": "HTTP"},
        "hosts": ["*"],
        "bind": "127.0.0.1",
    }
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "public", "namespace": EDGE},
        "spec": {"selector": {"istio": "ingress"}, "servers": [server]},
    }


@contextmanager
def answering(revision: str) -> Iterator[int]:
    """A server that answers with the name of its revision, and with the live mark that came; its port."""
    server = ThreadingHTTPServer((PODS, 0), _handler(revision))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(revision: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = f"{revision} {self.headers.get('x-tidegate-traffic')}".encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Nothing."""

    return Handler
