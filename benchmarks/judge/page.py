"""The page with the result: everything between two marks is replaced, the rest is left as somebody wrote it."""

from pathlib import Path

from benchmarks.judge.errors import BenchmarkError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "judge-benchmark.md"
BEGIN, END = "<!-- judge -->", "<!-- end of judge -->"


def check_page(page: Path = PAGE) -> None:
    """Raises BenchmarkError when the page has no place for a report; to be asked before minutes are spent on one."""
    if not page.exists():
        raise BenchmarkError(f"docs/{page.name} doesn't exist, so there is no place for the report")
    with_report(page.read_text(), "")


def write_page(report: str, page: Path = PAGE) -> None:
    """Raises BenchmarkError when the page has no place for it."""
    check_page(page)
    page.write_text(with_report(page.read_text(), report))


def with_report(text: str, report: str) -> str:
    """The page's text with this report in its place."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BenchmarkError(f"docs/{PAGE.name} needs the lines {BEGIN} and {END} around the report")
    return f"{before}{BEGIN}\n\n{report.strip()}\n\n{END}{after}"
