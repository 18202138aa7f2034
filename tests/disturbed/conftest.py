"""The cluster of the end-to-end tests, with an operator and a Prometheus that each disturbance sets up for itself."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.disturbed import page
from tests.disturbed.monitoring import Monitoring
from tests.disturbed.operators import until_led
from tests.disturbed.trial import Trial, write
from tests.e2e.conftest import cluster, digits, kubectl, served, stage
from tests.e2e.stage import Stage
from tidegate_demo import place
from tidegate_demo.cluster.contexts import DemoCluster
from tidegate_demo.kubectl import Kubectl

__all__ = ["cluster", "digits", "kubectl", "served", "stage"]

RESULTS = place.REPOSITORY / "build" / "disturbed"


@dataclass(frozen=True)
class Tidegate:
    """The chart's release in the cluster."""

    cluster: DemoCluster
    kubectl: Kubectl
    build: str

    def install(self, prometheus: str, **settings: object) -> None:
        """With this Prometheus and further values of the chart (`__` for a dot); returns when an operator leads."""
        paths = {path.replace("__", "."): value for path, value in settings.items()}
        place.install_chart(self.cluster, prometheus, self.build, paths)
        until_led(self.kubectl)


@pytest.fixture(scope="session")
def tidegate(cluster: DemoCluster, kubectl: Kubectl) -> Iterator[Tidegate]:
    """Set back to what the end-to-end tests use when all is over."""
    release = Tidegate(cluster, kubectl, place.build_of(cluster.load_images()))
    yield release
    release.install(Monitoring(cluster, kubectl, "").usual())


@pytest.fixture(scope="session")
def monitoring(cluster: DemoCluster, kubectl: Kubectl) -> Monitoring:
    return Monitoring(cluster, kubectl, place.host_address(cluster))


@pytest.fixture
def trial(request: pytest.FixtureRequest, stage: Stage, capsys: pytest.CaptureFixture[str]) -> Iterator[Trial]:
    """Told in one line when it is over, however it ends; and on the page, once every disturbance was tried."""
    under_way = Trial(request.node.get_closest_marker("disturbed").args[0], stage)
    yield under_way
    row = under_way.row()
    write(row, RESULTS)
    with capsys.disabled():
        request.config.get_terminal_writer().line(f"\n  {row.line()}")
    page.write_if_whole(RESULTS)
