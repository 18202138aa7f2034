"""Where a run of the demo leaves its results."""

import subprocess

import pytest

from tidegate_demo import place
from tidegate_demo.__main__ import _options


@pytest.mark.parametrize("option", ["report", "pictures"])
def test_a_run_writes_only_where_git_looks_away(option: str) -> None:
    target = getattr(_options(["up"]), option)
    command = ["git", "-C", str(place.REPOSITORY), "check-ignore", "--quiet", str(target / "anything")]
    assert subprocess.run(command, check=False).returncode == 0
