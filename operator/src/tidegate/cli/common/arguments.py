"""Options that several commands have, and how their errors become exit codes."""

import argparse
import math
import sys
from collections.abc import Callable
from typing import TypeVar

from tidegate.cli.common.errors import Unusable
from tidegate.errors import TidegateError

Number = TypeVar("Number", int, float)
CANNOT, USAGE = 1, 2
"""Exit codes: what was asked for can't be done; the command line makes no sense."""


def exit_code(program: str, run: Callable[[], int]) -> int:
    """Of a command that runs now; an error of ours is one sentence on stderr."""
    try:
        return run()
    except TidegateError as error:
        print(f"{program}: {error}", file=sys.stderr)  # noqa: T201 - a person reads it
        return USAGE if isinstance(error, Unusable) else CANNOT


def parser_of(program: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """Of a command whose description and epilog are paragraphs, and examples that keep their lines."""
    return argparse.ArgumentParser(prog=program, description=description, epilog=epilog, formatter_class=_Paragraphs)


class _Paragraphs(argparse.HelpFormatter):
    """Fills each paragraph for the terminal; what is indented stays as it is, as a command has to."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(self._filled(each, width, indent) for each in text.strip("\n").split("\n\n"))

    def _filled(self, paragraph: str, width: int, indent: str) -> str:
        lines = paragraph.splitlines()
        if any(line.startswith(" ") for line in lines):
            return "\n".join(f"{indent}{line}" for line in lines)
        return super()._fill_text(paragraph, width, indent)


def add_shared_options(parser: argparse.ArgumentParser, settings: str) -> None:
    """`--set PATH=VALUE`, any number of times, as strings in `set`; `--output`, for people or for programs."""
    parser.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help=f"a setting {settings}; repeats"
    )
    parser.add_argument("--output", choices=("table", "json"), default="table")


def add_cluster_options(parser: argparse.ArgumentParser) -> None:
    """`--namespace`, `--kubeconfig` and `--context`, as kubectl has them."""
    parser.add_argument("-n", "--namespace", help="the context's, if left out")
    parser.add_argument("--kubeconfig", metavar="FILE", help="kubectl's, if left out")
    parser.add_argument("--context", help="the current one, if left out")


def number_above(least: float, kind: Callable[[str], Number]) -> Callable[[str], Number]:
    """The type of an option that is a finite number of more than so much."""

    def number(text: str) -> Number:
        value = kind(text)
        if not least < value < math.inf:
            raise argparse.ArgumentTypeError(f"{text} is not a number above {least:g}")
        return value

    return number


def number_from(least: float, kind: Callable[[str], Number]) -> Callable[[str], Number]:
    """The type of an option that is a finite number of at least so much."""

    def number(text: str) -> Number:
        value = kind(text)
        if not least <= value < math.inf:
            raise argparse.ArgumentTypeError(f"{text} is not a number from {least:g} on")
        return value

    return number
