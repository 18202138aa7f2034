"""Where it is measured: the demo's cluster, with Prometheus and the chart set to one scrape interval after another."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.progress import Progress
from tidegate_demo import place
from tidegate_demo.cluster import node
from tidegate_demo.cluster.contexts import DemoCluster, OneNode, choose, ensure_prometheus
from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.cluster.layout import cache_folder
from tidegate_demo.kubectl import Kubectl


@dataclass(frozen=True)
class Testbed:
    """A cluster that runs, and the digest of the operator's image in it."""

    cluster: DemoCluster
    build: str

    @property
    def kubectl(self) -> Kubectl:
        """For this cluster."""
        return Kubectl(self.cluster.kubeconfig, self.cluster.context)

    @property
    def router(self) -> str:
        """Its URL for the load."""
        return self.cluster.reach(place.RELEASE_NAMESPACE, place.ROUTER_SERVICE, place.ROUTER_PORT)

    def scrape_every(self, seconds: int, progress: Progress) -> None:
        """Prometheus begins anew with this interval, and the operator is told of it. Raises BenchmarkError."""
        progress.note(f"setting Prometheus and the operator to a scrape every {seconds} s")
        try:
            prometheus = ensure_prometheus(self.cluster, seconds)
            place.install_chart(self.cluster, prometheus, self.build, {"prometheus.scrapeIntervalSeconds": seconds})
        except ClusterError as error:
            raise BenchmarkError(f"no scrape every {seconds} s: {error}") from error


@contextmanager
def testbed_running(progress: Progress, *, keep: bool) -> Iterator[Testbed]:
    """The cluster, brought up if it isn't. Goes down again unless it was up or is to be kept. Raises BenchmarkError."""
    cluster = choose()
    was_up = not isinstance(cluster, OneNode) or node.is_up(cluster.layout)
    progress.note(f"{cluster.name}: {'looking whether all is there' if was_up else 'starting it'}")
    try:
        yield Testbed(cluster, _brought_up(cluster, progress))
    finally:
        if not was_up and not keep:
            progress.note("taking the cluster down")
            _take_down(cluster, progress)


def _brought_up(cluster: DemoCluster, progress: Progress) -> str:
    """The build of its images."""
    try:
        cluster.up()
        progress.note("building and loading the images, where they have changed")
        return place.build_of(cluster.load_images())
    except ClusterError as error:
        raise BenchmarkError(f"no cluster: {error}") from error


def _take_down(cluster: DemoCluster, progress: Progress) -> None:
    """What was measured is worth more than a clean end."""
    try:
        cluster.down()
    except ClusterError as error:
        progress.note(f"the cluster may be left: {error}")


def folder() -> Path:
    """Where the twins and the records of requests are kept from run to run."""
    return cache_folder() / "bench-releases"


def demo_folder() -> Path:
    """Where the demo keeps its models."""
    return cache_folder() / "demo"
