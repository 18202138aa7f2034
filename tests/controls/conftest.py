"""The cluster of the end-to-end tests, with the demo's Prometheus; the chart's dashboard and Jobs as gates are on."""

from collections.abc import Iterator

import pytest

from tests.controls.readers import readers
from tests.e2e.conftest import cluster, digits, kubectl, served, stage
from tests.e2e.stage import Stage
from tests.readers import Readers
from tidegate_demo import place
from tidegate_demo.cluster.contexts import DemoCluster, ensure_prometheus

__all__ = ["cluster", "digits", "kubectl", "served", "stage"]

FURTHER = {"dashboard.enabled": True, "jobGates.enabled": True}


@pytest.fixture(scope="session")
def further(cluster: DemoCluster) -> Iterator[DemoCluster]:
    """The same cluster with what the chart leaves off by default; it is off again afterwards."""
    prometheus, build = ensure_prometheus(cluster, place.SCRAPE_SECONDS), place.build_of(cluster.load_images())
    place.install_chart(cluster, prometheus, build, FURTHER)
    yield cluster
    place.install_chart(cluster, prometheus, build)


@pytest.fixture
def reading(further: DemoCluster, stage: Stage) -> Readers:
    """By the chart's dashboard for somebody with the rights of docs/dashboard.md in the test's namespace."""
    return readers(stage, further.reach(place.RELEASE_NAMESPACE, f"{place.RELEASE}-dashboard", 80))
