"""A dry run works on a copy of what git knows of, and never writes into a folder that has something in it."""

import subprocess
from datetime import date
from pathlib import Path

import pytest

from release.dry_run import Wanted, copy, dry_run
from release.errors import ReleaseError
from release.parts import NOTES, write_krew, write_sums


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    root.mkdir()
    for name, text in ((".gitignore", "/build/\n"), ("kept", "as it is now"), ("gone", ""), ("build/old", "")):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    subprocess.run(["git", "add", "."], cwd=root, check=True)
    (root / "gone").unlink()
    (root / "new").write_text("not added yet")
    return root


def test_the_copy_has_what_is_there_now_and_nothing_that_git_ignores(checkout: Path, tmp_path: Path) -> None:
    copy(checkout, tmp_path / "copy")
    found = {path.name: path.read_text() for path in (tmp_path / "copy").iterdir()}
    assert found == {".gitignore": "/build/\n", "kept": "as it is now", "new": "not added yet"}


@pytest.mark.parametrize(
    ("version", "left", "sentence"),
    [("0.2", "", "three numbers"), ("0.2.0", "tidegate-0.1.0.tgz", "isn't empty; remove it")],
    ids=["no version", "a folder in use"],
)
def test_what_makes_no_sense_is_refused_before_anything_is_built(
    checkout: Path, tmp_path: Path, version: str, left: str, sentence: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    if left:
        (out / left).touch()
    nothing = Path("/nowhere")
    wanted = Wanted(checkout, version, date(2026, 12, 1), out, nothing, nothing, "owner/name", "registry.example")
    with pytest.raises(ReleaseError, match=sentence):
        dry_run(wanted)
    assert [each.name for each in out.iterdir()] == ([left] if left else [])


def test_the_digests_are_of_all_files_but_the_notes(tmp_path: Path) -> None:
    archive = tmp_path / "kubectl-tidegate-0.2.0-linux-arm64.tar.gz"
    archive.write_text("program")
    (tmp_path / NOTES).write_text("What is new.")
    write_krew(tmp_path, "0.2.0", "owner/name")
    listed = [line.split()[1] for line in write_sums(tmp_path).read_text().splitlines()]
    assert listed == [archive.name, "tidegate.yaml"]
    assert write_sums(tmp_path).read_text().count("\n") == 2
