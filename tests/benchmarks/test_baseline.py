"""The code of an earlier commit is taken from git once, and kept."""

import subprocess
from pathlib import Path

import pytest

from benchmarks import baseline
from benchmarks.errors import BenchmarkError


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of two commits, of which the first is tagged `before`."""
    place = tmp_path / "checkout"
    place.mkdir()
    _git(place, "init", "--quiet")
    for content in ("before", "after"):
        (place / "file").write_text(content)
        _git(place, "add", "file")
        _git(place, "-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--quiet", "-m", content)
        _git(place, "tag", content)
    monkeypatch.setattr(baseline, "ROOT", place)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return place


def _git(place: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(place), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_files_are_those_of_the_commit_and_lie_outside_the_checkout(checkout: Path, tmp_path: Path) -> None:
    found = baseline.fetched("before")
    assert (found.tree / "file").read_text() == "before"
    assert found.commit == _git(checkout, "rev-parse", "before")[:7]
    assert found.tree.is_relative_to(tmp_path / "cache")
    assert _git(checkout, "status", "--porcelain") == ""


def test_what_was_fetched_is_kept(checkout: Path) -> None:
    (baseline.fetched("before").tree / "built").touch()
    assert (baseline.fetched("before").tree / "built").exists()


def test_a_commit_that_is_not_there_is_named(checkout: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"no-such-commit.*there is no such commit"):
        baseline.fetched("no-such-commit")


def test_a_python_that_is_not_there_is_named(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV", "false")
    with pytest.raises(BenchmarkError, match="checkout can't be installed with /no/python"):
        baseline.own_environment("/no/python", "tidegate")
