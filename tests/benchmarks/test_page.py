"""Each report finds its place in the page."""

from pathlib import Path

import pytest

from benchmarks.page import NoPlace, Place


def test_a_report_goes_between_its_marks_and_nowhere_else(tmp_path: Path) -> None:
    place = Place("judge", tmp_path / "page.md")
    begin, end = place.marks
    place.page.write_text(f"# The judge\n\n{begin}\nold\n{end}\n\nmore\n")
    place.write("new\n")

    assert place.page.read_text() == f"# The judge\n\n{begin}\n\nnew\n\n{end}\n\nmore\n"


def test_a_page_without_a_place_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    place = Place("judge", tmp_path / "page.md")
    with pytest.raises(NoPlace, match="can't be read"):
        place.check()
    place.page.write_text("# Nothing here\n")
    with pytest.raises(NoPlace, match="needs the lines <!-- judge -->"):
        place.check()
