"""What the programs here have in common: options, where a result goes, and how a program ends."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.errors import BenchmarkError
from benchmarks.report_page import ReportSection

SUCCEEDED, MISSED, CANNOT_MEASURE, INTERRUPTED = 0, 1, 2, 130


@dataclass(frozen=True)
class Report:
    """What a program found: as Markdown for people, and with every figure as a document for programs."""

    text: str
    document: Mapping[str, object]
    exit_code: int = SUCCEEDED

    @property
    def json(self) -> str:
        """The document, indented."""
        return json.dumps(self.document, indent=1, ensure_ascii=False) + "\n"


def run_command(
    options: argparse.Namespace,
    section: ReportSection,
    measure: Callable[[], Report],
    *,
    cannot_measure: int = CANNOT_MEASURE,
) -> int:
    """Measures, prints, and writes into the page where that was asked for. The exit code: the report's, or why none."""
    try:
        if options.write:
            section.check()
        report = measure()
        sys.stdout.write(report.json if options.output == "json" else f"\n{report.text}")
        if options.write:
            section.write(report.text)
    except BenchmarkError as error:
        sys.stderr.write(f"{error}\n")
        return cannot_measure
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing is reported\n")
        return INTERRUPTED
    return report.exit_code


def add_output_options(parser: argparse.ArgumentParser, section: ReportSection) -> None:
    """`--output` and `--write`."""
    parser.add_argument("--output", choices=("table", "json"), default="table")
    parser.add_argument("--write", action="store_true", help=f"put the report into docs/{section.page.name}")


def runs_options(program: str, about: str, section: ReportSection) -> argparse.Namespace:
    """The command line of a benchmark that draws its candidates: `--runs`, and those of its output."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=about.splitlines()[0])
    add_output_options(parser, section)
    parser.add_argument("--runs", type=positive, default=1000, help="of each candidate; 1000")
    return parser.parse_args()


def add_choice(parser: argparse.ArgumentParser, option: str, known: Sequence[str], metavar: str | None = None) -> None:
    """An option that takes some of the known words, with commas between them; all of them when it isn't given."""
    said = f"some of {','.join(known)} (all)"
    parser.add_argument(option, type=some_of(known), default=tuple(known), metavar=metavar, help=said)


def some_of(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """The type of an argparse option, for words with commas between them."""

    def choose(said: str) -> tuple[str, ...]:
        chosen = tuple(word.strip() for word in said.split(","))
        for word in chosen:
            if word not in known:
                raise argparse.ArgumentTypeError(f"{word!r} isn't one of {', '.join(known)}")
        return chosen

    return choose


def positive(said: str) -> int:
    """The type of an argparse option, for a whole number from 1 on."""
    if not said.isdigit() or int(said) < 1:
        raise argparse.ArgumentTypeError(f"{said!r} isn't a whole number from 1 on")
    return int(said)
