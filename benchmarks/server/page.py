"""The page with the result: everything between two marks is replaced, the rest is left as somebody wrote it."""

from pathlib import Path

from benchmarks.server.errors import BenchmarkError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- measured -->", "<!-- end of what was measured -->"


def write_page(report: str, page: Path = PAGE) -> None:
    """Raises BenchmarkError when the page has no place for it."""
    page.write_text(with_report(page.read_text(), report))


def with_report(text: str, report: str) -> str:
    """The page's text with this report in its place."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BenchmarkError(f"docs/benchmarks.md needs the lines {BEGIN} and {END} around the report")
    return f"{before}{BEGIN}\n\n{report.strip()}\n\n{END}{after}"
