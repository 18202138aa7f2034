"""The page with the results: each trial has a place between two marks, and everything around is left as it is."""

from pathlib import Path

from benchmarks.server_trials.errors import TrialError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "server-trials.md"


def write_page(trial: str, report: str, page: Path = PAGE) -> None:
    """Raises TrialError when the page has no place for it."""
    page.write_text(with_report(page.read_text(), trial, report))


def with_report(text: str, trial: str, report: str) -> str:
    """The page's text with this report in its place."""
    begin, end = f"<!-- {trial} -->", f"<!-- end of {trial} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise TrialError(f"docs/server-trials.md needs the lines {begin} and {end} around the report")
    return f"{before}{begin}\n\n{report.strip()}\n\n{end}{after}"
