"""What the site needs beside the pages: the list of decisions, and the files of the repository that pages link to."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

DOCS = Path(__file__).parent
OUTSIDE = re.compile(r"\]\((?P<up>(?:\.\./)+)(?P<path>[^)#]+)(?P<anchor>#[^)]*)?\)")
SOURCE = "source/"
"""Below which the site has the files that don't belong to docs/."""
MOST_BYTES = 2**20


def on_config(config: Any) -> Any:
    """mkdocs: an entry of `nav` that names a folder becomes its pages, in order."""
    config.nav = _unfolded(config.nav)
    return config


def _unfolded(entry: Any) -> Any:
    if isinstance(entry, list):
        return [_unfolded(each) for each in entry]
    if isinstance(entry, dict):
        return {title: _unfolded(inside) for title, inside in entry.items()}
    if not entry.endswith("/"):
        return entry
    return [str(page.relative_to(DOCS)) for page in sorted((DOCS / entry).glob("*.md"))]


def on_files(files: Files, config: Any) -> Files:
    """mkdocs: adds what pages link to outside of docs/, as the text that it is."""
    linked = {_target(DOCS / page.src_uri, link) for page in files.documentation_pages() for link in _links(page)}
    for path in sorted(path for path in linked if path and path.is_file()):
        if path.stat().st_size <= MOST_BYTES:
            files.append(File.generated(config, _place_of(path), content=path.read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """mkdocs: leads links out of docs/ to those files; where a link leads to a folder, only its words stay."""

    def led(link: re.Match[str]) -> str:
        path = _target(DOCS / page.file.src_uri, link)
        if path is None:
            return link[0]
        up = "../" * page.file.src_uri.count("/")
        return f"]({up}{_place_of(path)})" if path.is_file() else "]"

    without_folders = re.sub(
        r"\[(?P<words>[^\]]+)(?P<link>\]\((?:\.\./)+[^)]+/\))", lambda found: found["words"], markdown
    )
    return OUTSIDE.sub(led, without_folders)


def _links(page: File) -> list[re.Match[str]]:
    return list(OUTSIDE.finditer((DOCS / page.src_uri).read_text()))


def _target(page: Path, link: re.Match[str]) -> Path | None:
    """The file or folder that a link means; None where it is a page of docs/ itself."""
    path = (page.parent / link["up"] / link["path"]).resolve()
    return None if path.is_relative_to(DOCS) else path


def _place_of(path: Path) -> str:
    """A page would be drawn; a file is shown as it is."""
    name = path.relative_to(DOCS.parent).as_posix()
    return f"{SOURCE}{name}.txt" if path.suffix in (".md", ".py", ".yaml") else f"{SOURCE}{name}"
