"""A whole release, dry: everything is built, says one version, and is used as a user would use it."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from release.dry_run import Made, Wanted, dry_run
from release.parts import KREW
from tidegate_demo.cluster import programs
from tidegate_demo.cluster.programs import HELM, Program, obtain

pytestmark = pytest.mark.release
ROOT, VERSION = Path(__file__).parents[2], "9.8.7"
KREW_PROGRAM = Program(
    "krew", "v0.4.3", "", "", "", str(Path(__file__).parent / "programs" / "krew"), "sigs.k8s.io/krew/cmd/krew"
)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("release")


@pytest.fixture(scope="module")
def made(out: Path) -> list[Made]:
    wanted = Wanted(
        root=ROOT,
        version=VERSION,
        day=date(2026, 12, 1),
        out=out,
        python=Path(sys.executable),
        helm=obtain(HELM),
        repository="owner/name",
        images="registry.example/folder",
        compiled=False,
    )
    return dry_run(wanted)


def test_every_part_is_there_and_says_the_version(made: list[Made]) -> None:
    assert [(each.part, each.version) for each in made] == [
        (part, VERSION)
        for part in (
            *("pyproject.toml", "CHANGELOG.md", "wheel of tidegate", "wheel of tidegate-server", "SBOM", "SBOM"),
            *("chart", "plugin, as it says when run", "Krew's manifest", "notes"),
            *("image of tidegate", "image of tidegate-server", "digests"),
        )
    ]


@pytest.mark.usefixtures("made")
def test_the_digests_are_those_of_the_files(out: Path) -> None:
    done = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=out, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.usefixtures("made")
def test_krew_installs_the_plugin_by_the_manifest_and_it_lints(out: Path, tmp_path: Path) -> None:
    krew = programs.find(KREW_PROGRAM, (programs.in_cache, programs.built))
    archive = next(out.glob("kubectl-tidegate-*.tar.gz"))
    environment = {"KREW_ROOT": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    command = [str(krew), "install", f"--manifest={out / KREW}", f"--archive={archive}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    plugin = tmp_path / "bin" / "kubectl-tidegate"
    linted = subprocess.run([str(plugin), "lint", str(ROOT / "examples" / "sentiment")], capture_output=True, text=True)
    assert (linted.returncode, "nothing is wrong" in linted.stderr) == (0, True), linted.stdout + linted.stderr
