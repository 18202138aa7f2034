"""The chart, rendered by Helm."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[2] / "charts" / "tidegate"
Manifest = dict[str, Any]
Helm = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def helm(program: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """`helm template` of the chart as release `tidegate` in namespace `tidegate-system`."""
    place, home = program("helm"), tmp_path_factory.mktemp("helm")

    def template(*flags: str) -> "subprocess.CompletedProcess[str]":
        fixed = ["--namespace", "tidegate-system", "--kube-version", "1.37.2"]
        command = [str(place), "template", "tidegate", str(CHART), *fixed, *flags]
        environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return template


@pytest.fixture(scope="session")
def render(helm: Helm) -> Callable[..., list[Manifest]]:
    """The manifests that the chart gives with these flags."""

    def rendered(*flags: str) -> list[Manifest]:
        done = helm(*flags)
        assert done.returncode == 0, done.stderr
        return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]

    return rendered
