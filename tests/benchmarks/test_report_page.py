"""Each report finds its section in the page."""

from pathlib import Path

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.report_page import ReportSection


def test_a_report_goes_between_its_marks_and_nowhere_else(tmp_path: Path) -> None:
    section = ReportSection("judge", tmp_path / "page.md")
    begin, end = section.marks
    section.page.write_text(f"# The judge\n\n{begin}\nold\n{end}\n\nmore\n")
    section.write("new\n")

    assert section.page.read_text() == f"# The judge\n\n{begin}\n\nnew\n\n{end}\n\nmore\n"


def test_a_page_without_a_section_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    section = ReportSection("judge", tmp_path / "page.md")
    with pytest.raises(BenchmarkError, match="can't be read"):
        section.check()
    section.page.write_text("# Nothing here\n")
    with pytest.raises(BenchmarkError, match="needs the lines <!-- judge -->"):
        section.check()
