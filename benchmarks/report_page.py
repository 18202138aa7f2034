"""The pages with results: each report has a place between two marks, and everything around is left as it is."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError

DOCS = Path(__file__).resolve().parents[1] / "docs"


@dataclass(frozen=True)
class ReportSection:
    """Where a report goes: between `<!-- NAME -->` and `<!-- end of NAME -->` in `page`."""

    name: str
    page: Path

    @property
    def marks(self) -> tuple[str, str]:
        """The lines before and after the report."""
        return f"<!-- {self.name} -->", f"<!-- end of {self.name} -->"

    def check(self) -> None:
        """To be asked before minutes are spent on a report. Raises BenchmarkError."""
        self._with_report("")

    def write(self, report: str) -> None:
        """Replaces what stands between the marks. Raises BenchmarkError when the page or the marks are missing."""
        self.page.write_text(self._with_report(report))

    def _with_report(self, report: str) -> str:
        begin, end = self.marks
        before, begun, rest = self._text().partition(begin)
        _, ended, after = rest.partition(end)
        if not begun or not ended:
            raise BenchmarkError(f"{self.page.name} needs the lines {begin} and {end} around the report")
        return f"{before}{begin}\n\n{report.strip()}\n\n{end}{after}"

    def _text(self) -> str:
        try:
            return self.page.read_text()
        except OSError as error:
            raise BenchmarkError(f"{self.page} can't be read: {error.strerror}") from error
