"""The page with the results: each benchmark has a place between two marks, and everything around is left as it is."""

from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "judge-benchmark.md"


class NoPlace(Exception):
    """The page has no place for a report; the message says what it needs."""


@dataclass(frozen=True)
class Place:
    """Where a benchmark's report goes: between `<!-- NAME -->` and `<!-- end of NAME -->`."""

    name: str
    page: Path = PAGE

    @property
    def marks(self) -> tuple[str, str]:
        """Before and after the report."""
        return f"<!-- {self.name} -->", f"<!-- end of {self.name} -->"

    def check(self) -> None:
        """To be asked before minutes are spent on a report. Raises NoPlace."""
        self.with_report(self._text(), "")

    def write(self, report: str) -> None:
        """Raises NoPlace."""
        self.page.write_text(self.with_report(self._text(), report))

    def with_report(self, text: str, report: str) -> str:
        """The page's text with this report in its place. Raises NoPlace."""
        begin, end = self.marks
        before, begun, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not begun or not ended:
            raise NoPlace(f"{self.page.name} needs the lines {begin} and {end} around the report")
        return f"{before}{begin}\n\n{report.strip()}\n\n{end}{after}"

    def _text(self) -> str:
        try:
            return self.page.read_text()
        except OSError as error:
            raise NoPlace(f"{self.page} can't be read: {error.strerror}") from error
