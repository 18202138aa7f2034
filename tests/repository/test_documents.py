"""Links between the documents lead somewhere, and their worked example is what the code says."""

import math
import re
from pathlib import Path

import pytest

from tidegate.judge.e_process import DOWNWARD, UPWARD, EProcess, log_e
from tidegate.judge.explain import number

REPOSITORY = Path(__file__).parents[2]
ROOTS = (
    ".",
    ".github",
    "operator/src/tidegate",
    "server/src/tidegate_server",
    "demo/src/tidegate_demo",
    "tests/operator",
)
"""Where the documents' paths begin."""
SKIPPED = {".venv", ".git", ".pytest_cache", "build"}
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
SOURCE = re.compile(r"`([\w.-]+/[\w./-]+\.(?:py|toml|tpl|proto))`")
TARGET = re.compile(r"(?:`|^    )make ([a-z0-9-]+)", re.MULTILINE)
NAME = re.compile(r"\(`(\w+)`")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


def documents() -> list[Path]:
    found = (path for path in REPOSITORY.rglob("*.md") if not SKIPPED & set(path.relative_to(REPOSITORY).parts))
    return sorted(found)


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives to a document's headings."""
    headings = HEADING.findall(document.read_text())
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_every_link_into_the_repository_leads_somewhere(document: Path) -> None:
    links = LINK.findall(CODE.sub("", document.read_text()))
    broken = [link for link in links if "://" not in link and not leads_somewhere(document, link)]
    assert broken == []


def leads_somewhere(document: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = document.parent / name if name else document
    if not target.exists():
        return False
    return not anchor or anchor in anchors(target)


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_every_source_that_a_document_names_is_there(document: Path) -> None:
    named = SOURCE.findall(document.read_text())
    assert [path for path in named if not any((REPOSITORY / root / path).exists() for root in ROOTS)] == []


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_every_target_that_a_document_names_is_in_the_makefile(document: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    assert set(TARGET.findall(document.read_text())) - targets == set()


def test_every_name_of_the_glossary_is_in_the_code() -> None:
    members = [REPOSITORY / member / "src" for member in ("operator", "server")]
    code = "\n".join(path.read_text() for member in members for path in member.rglob("*.py"))
    defined = set(re.findall(r"\b(?:class|def) (\w+)|^(?: +(\w+): |(\w+) = )", code, re.MULTILINE))
    named = NAME.findall((REPOSITORY / "docs" / "glossary.md").read_text())
    assert set(named) - {name for either in defined for name in either} == set()


def evidence(e_process: EProcess, failed: int, increments: int, ratio: float, absolute: float) -> float:
    """Of a candidate that fails on `failed` of 100 requests beside stable's 9 of 900, in every increment."""
    for _ in range(increments):
        e_process.add(lambda kappa: log_e(failed, 9, 100, 900, kappa=kappa, ratio=ratio, absolute=absolute))
    return math.exp(e_process.log_value)


@pytest.mark.parametrize("failed", [1, 2, 4, 8])
def test_the_worked_example_of_the_concepts_is_what_the_judge_computes(failed: int) -> None:
    worse = [evidence(EProcess(UPWARD), failed, after, 1.25, 0.001) for after in (1, 3, 10)]
    acceptable = [evidence(EProcess(DOWNWARD, start_at_once=1.0), failed, after, 2, 0.005) for after in (1, 3, 10)]
    row = " | ".join([f"{failed} of 100", *map(number, worse + acceptable)])
    assert f"| {row} |" in (REPOSITORY / "docs" / "concepts.md").read_text()
