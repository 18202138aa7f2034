"""The chart as an OCI artifact: it comes back from a real registry as it went there."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from release import chart
from release.version import version_of
from tests.server.fetch.conftest import store_program
from tests.server.fetch.oci_registry import a_registry
from tidegate_demo.cluster.programs import HELM, HELM4, Program, obtain

__all__ = ["store_program"]
pytestmark = [pytest.mark.helm, pytest.mark.sources]
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("program", [HELM, HELM4], ids=["Helm 3", "Helm 4"])
def test_the_chart_comes_back_by_its_digest_and_by_its_version(
    program: Program, tmp_path: Path, store_program: Callable[[str], Path]
) -> None:
    helm, version = obtain(program), version_of(ROOT)
    archive = chart.package(ROOT, helm, tmp_path)
    with tarfile.open(archive) as packed:
        assert [name for name in packed.getnames() if name.startswith("tidegate/tests/")] == []
    with a_registry(store_program("registry"), tmp_path) as registry:
        pushed = chart.push(archive, helm, f"{registry.host}/folder", plain_http=True)
        place = f"oci://{registry.host}/folder/tidegate"
        assert chart.version_in(f"{place}@{pushed}", helm, tmp_path, "--plain-http") == version
        assert chart.version_in(place, helm, tmp_path, "--plain-http", "--version", version) == version
        again = chart.push(archive, helm, f"{registry.host}/folder", plain_http=True)
    assert again == pushed
