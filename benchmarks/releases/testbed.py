"""Where it is measured: the demo's cluster, with Prometheus and the chart set to one scrape interval after another."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.baseline import Baseline
from benchmarks.errors import BenchmarkError
from benchmarks.progress import Progress
from benchmarks.releases.scenarios import THIS_CODE
from tidegate_demo import place
from tidegate_demo.cluster import images, node
from tidegate_demo.cluster.contexts import DemoCluster, OneNode, choose, ensure_prometheus
from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.cluster.layout import cache_folder
from tidegate_demo.cluster.packages import container_programs
from tidegate_demo.kubectl import Kubectl

BASELINE_IMAGES = {member: f"docker.io/tidegate/baseline-{member}" for member in ("operator", "server")}


@dataclass(frozen=True)
class Software:
    """A chart, the digest of the operator's image that goes with it, and further values of the chart."""

    chart: Path
    build: str
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Testbed:
    """A cluster that runs, and what can be installed in it, by the name of its code."""

    cluster: DemoCluster
    software: Mapping[str, Software]

    @property
    def kubectl(self) -> Kubectl:
        """For this cluster."""
        return Kubectl(self.cluster.kubeconfig, self.cluster.context)

    @property
    def router(self) -> str:
        """Its URL for the load."""
        return self.cluster.reach(place.RELEASE_NAMESPACE, place.ROUTER_SERVICE, place.ROUTER_PORT)

    def set_up(self, code: str, scrape: int, progress: Progress) -> None:
        """Installs this code, with a scrape every so many seconds, of which it is told. Raises BenchmarkError.

        Prometheus begins anew where the interval is another one.
        """
        progress.note(f"installing {code or 'this code'}, with a scrape every {scrape} s")
        software = self.software[code]
        values = {**software.values, "prometheus.scrapeIntervalSeconds": scrape}
        try:
            prometheus = ensure_prometheus(self.cluster, scrape)
            place.install_chart(self.cluster, prometheus, software.build, values, software.chart)
        except ClusterError as error:
            raise BenchmarkError(f"{code or 'this code'} can't be installed: {error}") from error


@contextmanager
def testbed_running(progress: Progress, baseline: Baseline | None, *, keep: bool) -> Iterator[Testbed]:
    """The cluster, brought up if it isn't. Goes down again unless it was up or is to be kept. Raises BenchmarkError."""
    cluster = choose()
    was_up = not isinstance(cluster, OneNode) or node.is_up(cluster.layout)
    progress.note(f"{cluster.name}: {'looking whether all is there' if was_up else 'starting it'}")
    try:
        yield Testbed(cluster, _brought_up(cluster, baseline, progress))
    finally:
        if not was_up and not keep:
            progress.note("taking the cluster down")
            _take_down(cluster, progress)


def _brought_up(cluster: DemoCluster, baseline: Baseline | None, progress: Progress) -> dict[str, Software]:
    """What can be installed, its images loaded."""
    try:
        cluster.up()
        progress.note("building and loading the images, where they have changed")
        software = {THIS_CODE: Software(place.CHART, place.build_of(cluster.load_images()))}
        if baseline:
            software[baseline.commit] = _loaded(cluster, baseline)
    except ClusterError as error:
        raise BenchmarkError(f"no cluster: {error}") from error
    return software


def _loaded(cluster: DemoCluster, baseline: Baseline) -> Software:
    """The images of the earlier commit have names of their own, so that both can be there."""
    if not isinstance(cluster, OneNode):
        raise BenchmarkError("a baseline is built for the one-node cluster of this machine, and for no other")
    names = {member: f"{repository}:{place.IMAGE_TAG}" for member, repository in BASELINE_IMAGES.items()}
    wanted = [images.workspace_image(name, member, baseline.tree) for member, name in names.items()]
    containerd, _, _ = container_programs()
    digests = images.load(wanted, cluster.layout, containerd.parent / "ctr")
    values = {
        "image.repository": BASELINE_IMAGES["operator"],
        "server.image.repository": BASELINE_IMAGES["server"],
    }
    return Software(baseline.tree / "charts" / "tidegate", digests[names["operator"]], values)


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
