"""The page with the result: everything between two marks is replaced, the rest is left as somebody wrote it."""

from pathlib import Path

from benchmarks.releases.errors import CannotMeasure

PAGE = Path(__file__).resolve().parents[2] / "docs" / "judge-benchmark.md"
BEGIN, END = "<!-- releases -->", "<!-- end of releases -->"


def check_page(page: Path = PAGE) -> None:
    """Before an hour of measuring: raises CannotMeasure when the page has no place for the result."""
    with_report(_text(page), "")


def write_page(report: str, page: Path = PAGE) -> None:
    """Raises CannotMeasure when the page has no place for it."""
    page.write_text(with_report(_text(page), report))


def with_report(text: str, report: str) -> str:
    """The page's text with this report in its place."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise CannotMeasure(f"docs/judge-benchmark.md needs the lines {BEGIN} and {END} around the report")
    return f"{before}{BEGIN}\n\n{report.strip()}\n\n{END}{after}"


def _text(page: Path) -> str:
    try:
        return page.read_text()
    except OSError as error:
        raise CannotMeasure(f"{page} can't be read: {error.strerror}") from error
