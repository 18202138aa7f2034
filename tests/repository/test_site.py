"""The site has every page of docs/, each once, under a heading that a reader would look below."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]


def pages_of(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        folder = ROOT / "docs" / entry
        yield from [f"{entry}{page.name}" for page in folder.glob("*.md")] if entry.endswith("/") else [entry]
        return
    for inside in entry.values() if isinstance(entry, dict) else entry:
        yield from pages_of(inside)


def test_every_page_stands_in_the_navigation_once() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]

    there = sorted(page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md"))
    assert sorted(pages_of(nav)) == there
