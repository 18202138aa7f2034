"""CRDs of other projects, out of their Go modules, on the API server of the tests."""

import json
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess
from typing import NamedTuple
from zipfile import ZipFile

import pytest
import yaml

from benchmarks.crds import until_established


class Upstream(NamedTuple):
    """Files with CRDs, by their paths in a module of this version."""

    module: str
    version: str
    files: Sequence[str]


def apply_upstream(
    kubectl: Callable[..., CompletedProcess[str]],
    kubeconfig: Path,
    upstream: Upstream,
    folder: Path,
    only: Sequence[str] = (),
) -> None:
    """Returns when the API server serves them; skips the test where the module can't be had. `only` names some CRDs."""
    found = [crd for file in _files(upstream, folder) for crd in yaml.safe_load_all(file.read_text()) if crd]
    wanted = [crd for crd in found if not only or crd["metadata"]["name"] in only]
    manifests = folder / "crds.yaml"
    manifests.write_text(yaml.safe_dump_all(wanted))
    names = [f"crd/{crd['metadata']['name']}" for crd in wanted]
    applied = kubectl(kubeconfig, "apply", "--server-side", "--force-conflicts", "-f", str(manifests))
    assert applied.returncode == 0, applied.stderr
    until_established(partial(kubectl, kubeconfig), *names)


def _files(upstream: Upstream, folder: Path) -> list[Path]:
    programs = pytest.importorskip("tidegate_demo.cluster.programs")
    command = [str(programs.go()), "mod", "download", "-json", f"{upstream.module}@{upstream.version}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    # A module that asks for a newer Go than there is comes all the same: its files are all that's wanted.
    told = json.loads(done.stdout or "{}")
    if "Zip" not in told:
        pytest.skip(f"{upstream.module} can't be downloaded: {done.stdout}{done.stderr}")
    with ZipFile(told["Zip"]) as files:
        of = f"{upstream.module}@{told['Version']}"
        return [Path(files.extract(f"{of}/{each}", folder)) for each in upstream.files]
