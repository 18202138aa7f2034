"""Which cluster the demo runs on: a context that was named, kind where Docker works, or the one-node cluster."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import yaml

from tidegate_demo.cluster import images, node, prometheus
from tidegate_demo.cluster.daemons import Tools
from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.cluster.kubectl import Forwards, kubectl
from tidegate_demo.cluster.layout import Layout, cache_folder
from tidegate_demo.cluster.packages import NODE_COMMANDS, container_programs, ensure_commands
from tidegate_demo.cluster.programs import ETCD, KUBERNETES, obtain
from tidegate_demo.cluster.progress import step

CONTEXT = "TIDEGATE_CONTEXT"
IMAGE_PREFIX = "TIDEGATE_IMAGE_PREFIX"
KIND_CLUSTER = "tidegate-demo"
READY_WITHIN = 180  # seconds


class DemoCluster(Protocol):
    """A cluster that the demo can use; all calls may be repeated."""

    @property
    def name(self) -> str:
        """What it is, for people."""
        ...

    @property
    def kubeconfig(self) -> Path: ...

    @property
    def context(self) -> str | None:
        """The kubeconfig's context to use; None for its current one."""
        ...

    @property
    def image_prefix(self) -> str:
        """What stands before `operator:demo` in an image's name, with the slash."""
        ...

    def up(self) -> None:
        """Brings the cluster to where pods can run."""
        ...

    def load_images(self) -> Mapping[str, str]:
        """Brings the demo's images to the cluster; the digest of each one's inputs by its name, where we build it."""
        ...

    def down(self) -> None:
        """Removes the cluster, if it is ours."""
        ...

    def reach(self, namespace: str, service: str, port: int) -> str:
        """An address of a Service that this machine can send requests to, such as `http://198.19.0.7:80`."""
        ...


def choose(environment: Mapping[str, str] = os.environ) -> DemoCluster:
    """The named context, else kind where Docker works, else the one-node cluster."""
    if context := environment.get(CONTEXT):
        return NamedContext(context, environment.get(IMAGE_PREFIX, ""), _kubeconfig_of(environment))
    if shutil.which("kind") and docker_works():
        return Kind()
    return OneNode()


def docker_works() -> bool:
    """Whether a Docker daemon answers; the program alone, as many machines have it, does not count."""
    if shutil.which("docker") is None:
        return False
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=10, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _kubeconfig_of(environment: Mapping[str, str]) -> Path:
    given = environment.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(given) if given else Path.home() / ".kube" / "config"


@dataclass(frozen=True)
class OneNode:
    """The node of this package, on this machine. Services are reached at their cluster addresses."""

    layout: Layout = field(default_factory=Layout)
    name: str = "the one-node cluster on this machine"
    context: str | None = None
    image_prefix: str = "docker.io/tidegate/"

    @property
    def kubeconfig(self) -> Path:
        return self.layout.kubeconfig

    def up(self) -> None:
        node.up(self.layout, node_tools)

    def load_images(self) -> Mapping[str, str]:
        containerd, _, _ = container_programs()
        return images.load(images.node_images(), self.layout, containerd.parent / "ctr")

    def down(self) -> None:
        node.down(self.layout)

    def reach(self, namespace: str, service: str, port: int) -> str:
        return f"http://{cluster_address(self, namespace, service)}:{port}"


@dataclass(frozen=True)
class NamedContext:
    """A cluster of the user's. Its nodes pull the images, so they have to be in a registry that they reach."""

    context: str
    image_prefix: str
    kubeconfig: Path

    @property
    def name(self) -> str:
        return f"the cluster of context {self.context}"

    def up(self) -> None:
        kubectl(self, "get", "--raw", "/readyz")

    def load_images(self) -> Mapping[str, str]:
        if self.image_prefix:
            return {}
        raise ClusterError(
            f"{CONTEXT} names a cluster that pulls its images: build Dockerfile.operator and Dockerfile.server, push "
            f"them as <prefix>operator:demo and <prefix>server:demo, and give the prefix in {IMAGE_PREFIX}"
        )

    def down(self) -> None:
        """The cluster is the user's: nothing is removed."""

    def reach(self, namespace: str, service: str, port: int) -> str:
        return self._forwards.address(namespace, service, port)

    @cached_property
    def _forwards(self) -> Forwards:
        return Forwards(self)


@dataclass(frozen=True)
class Kind:
    """A kind cluster. Not tried by the people who wrote this on a machine with Docker yet."""

    name: str = "a kind cluster"
    context: str | None = f"kind-{KIND_CLUSTER}"
    image_prefix: str = "docker.io/tidegate/"

    @property
    def kubeconfig(self) -> Path:
        return cache_folder() / "kind.kubeconfig"

    def up(self) -> None:
        clusters = _output("kind", "get", "clusters").split()
        with step("Starting the kind cluster"):
            if KIND_CLUSTER not in clusters:
                self.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
                _output("kind", "create", "cluster", "--name", KIND_CLUSTER, "--wait", f"{READY_WITHIN}s")
            _output("kind", "export", "kubeconfig", "--name", KIND_CLUSTER, "--kubeconfig", str(self.kubeconfig))

    def load_images(self) -> Mapping[str, str]:
        for name, member in images.OUR_IMAGES:
            images.docker_build(name, member)
            with step(f"Loading {name}"):
                _output("kind", "load", "docker-image", "--name", KIND_CLUSTER, name)
        return {}

    def down(self) -> None:
        _output("kind", "delete", "cluster", "--name", KIND_CLUSTER)

    def reach(self, namespace: str, service: str, port: int) -> str:
        return self._forwards.address(namespace, service, port)

    @cached_property
    def _forwards(self) -> Forwards:
        return Forwards(self)


def build_images() -> Mapping[str, str]:
    """Builds our images; where each one is by its name: in Docker, or in an archive that `docker load` takes."""
    if not docker_works():
        return {image.name: str(images.ensure_archive(image)) for image in images.our_images()}
    for name, member in images.OUR_IMAGES:
        images.docker_build(name, member)
    return {name: "in Docker" for name, _ in images.OUR_IMAGES}


def node_tools() -> Tools:
    """Every program that the one-node cluster runs; installs, downloads or builds what is missing."""
    ensure_commands(NODE_COMMANDS)
    containerd, runc, plugins = container_programs()
    programs = {program.name: obtain(program) for program in KUBERNETES}
    return Tools(obtain(ETCD), programs, containerd, runc, plugins)


def cluster_address(cluster: DemoCluster, namespace: str, service: str) -> str:
    """A Service's cluster address."""
    path = "jsonpath={.spec.clusterIP}"
    return kubectl(cluster, "--namespace", namespace, "get", "service", service, "--output", path)


def ensure_prometheus(cluster: DemoCluster, scrape_interval: float = 2.0) -> str:
    """Brings Prometheus up in the cluster and waits for it. Returns its address for programs in the cluster."""
    return ensure_prometheus_with(cluster, prometheus.scrape_config(scrape_interval))


def ensure_prometheus_with(cluster: DemoCluster, config: str) -> str:
    """As `ensure_prometheus`, with a configuration file of the caller's own.

    The address is a number and no name, since the one-node cluster has no DNS.
    """
    image, digest = prometheus_image(cluster)
    wanted = prometheus.manifests(config, image, digest)
    kubectl(cluster, "apply", "--server-side", "--filename", "-", given=yaml.safe_dump_all(wanted))
    with step("Starting Prometheus"):
        what = f"deployment/{prometheus.NAME}"
        patience = f"--timeout={READY_WITHIN}s"
        kubectl(cluster, "--namespace", prometheus.NAMESPACE, "rollout", "status", what, patience)
    return f"http://{cluster_address(cluster, prometheus.NAMESPACE, prometheus.NAME)}:{prometheus.PORT}"


def prometheus_image(cluster: DemoCluster) -> tuple[str, str]:
    """The image's name in this cluster, and the digest of what we built it from, where we did."""
    if isinstance(cluster, OneNode):
        return images.PROMETHEUS_IMAGE, images.prometheus_image().digest
    return prometheus.UPSTREAM_IMAGE, ""


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout
