"""What runs on GitHub is pinned, and may no more than it needs."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

GITHUB = Path(__file__).parents[2] / ".github"
TO_COPY = GITHUB.parent / "examples" / "pipeline" / ".github" / "workflows"
WORKFLOWS = [*sorted((GITHUB / "workflows").glob("*.yaml")), *sorted(TO_COPY.glob("*.yaml"))]
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")


def workflow(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(path.read_text())
    return read


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_its_whole_hash_and_says_its_version(path: Path) -> None:
    used = re.findall(r"uses: *(\S+)(.*)", path.read_text())
    loose = [action for action, comment in used if not PINNED.fullmatch(action) or not re.match(r" # v\d", comment)]
    assert loose == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_job_has_only_the_rights_it_names_and_ends(path: Path) -> None:
    read = workflow(path)
    assert read["permissions"] == {}
    lacking = [name for name, job in read["jobs"].items() if not {"permissions", "timeout-minutes"} <= job.keys()]
    assert lacking == []


@pytest.mark.parametrize("path", sorted(GITHUB.rglob("*.y*ml")), ids=lambda path: path.name)
def test_every_file_for_github_is_yaml(path: Path) -> None:
    assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_the_go_modules_are_followed_where_they_are() -> None:
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]
    followed = {folder for update in updates for folder in update.get("directories", ())}
    root = GITHUB.parent
    modules = {path.parent for folder in ("demo", "tests") for path in (root / folder).rglob("go.mod")}
    assert {f"/{module.parent.relative_to(root).as_posix()}/*" for module in modules} == followed
