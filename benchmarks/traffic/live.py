"""A model that serves, for a benchmark to do things to."""

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.errors import BenchmarkError, ScenarioAborted
from benchmarks.progress import Progress
from benchmarks.releases.testbed import Testbed, demo_folder
from benchmarks.traffic.bed import NAME, NAMESPACE, Bed, Rates
from tidegate_demo import files, models, place
from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.kubectl import KubectlError
from tidegate_demo.watch import Sight

SCRAPE_SECONDS = 2


@contextmanager
def live(testbed: Testbed, progress: Progress, rates: Rates) -> Iterator[Bed]:
    """The chart, and a model of two pods that serves. Raises BenchmarkError."""
    try:
        testbed.set_up("", SCRAPE_SECONDS, progress)
        demo = models.prepare(demo_folder(), progress.note)
        offered = {model.path.name: model.path for model in demo.versions.values()}
        kubectl = testbed.kubectl
        with (
            kubectl.namespace(NAMESPACE),
            files.serving(offered, place.host_address(testbed.cluster)) as address,
            Sight(kubectl, NAMESPACE, NAME) as sight,
        ):
            bed = Bed(kubectl, demo, address, testbed.router, sight, progress, rates)
            bed.apply("v2")
            bed.until("it is live", lambda seen: seen.is_current and seen.ready and seen.phase == "Live")
            yield bed
    except (ClusterError, KubectlError, ScenarioAborted) as error:
        raise BenchmarkError(str(error)) from error
