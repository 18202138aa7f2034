"""Options that several commands have, and how their errors become exit codes."""

import argparse
import math
import sys
from collections.abc import Callable

from tidegate.cli.common.errors import Unusable
from tidegate.errors import TidegateError

CANNOT, USAGE = 1, 2
"""Exit codes: what was asked for can't be done; the command line makes no sense."""


def exit_code(program: str, run: Callable[[], int]) -> int:
    """Of a command that runs now; an error of ours is one sentence on stderr."""
    try:
        return run()
    except TidegateError as error:
        print(f"{program}: {error}", file=sys.stderr)  # noqa: T201 - a person reads it
        return USAGE if isinstance(error, Unusable) else CANNOT


def add_set_option(parser: argparse.ArgumentParser, example: str) -> None:
    """`--set PATH=VALUE`, any number of times, as a list of strings in `set`."""
    parser.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help=f"a setting {example}; repeats"
    )


def add_output_option(parser: argparse.ArgumentParser) -> None:
    """`--output`: for people or for programs."""
    parser.add_argument("--output", choices=("table", "json"), default="table")


def add_cluster_options(parser: argparse.ArgumentParser) -> None:
    """`--namespace`, `--kubeconfig` and `--context`, as kubectl has them."""
    parser.add_argument("-n", "--namespace", help="the context's, if left out")
    parser.add_argument("--kubeconfig", metavar="FILE", help="kubectl's, if left out")
    parser.add_argument("--context", help="the current one, if left out")


def number_from(least: float) -> Callable[[str], float]:
    """The type of an option that is a finite number of at least so much."""

    def number(text: str) -> float:
        value = float(text)
        if not least <= value < math.inf:
            raise argparse.ArgumentTypeError(f"{text} is not a number from {least:g} on")
        return value

    return number


def whole_number_from(least: int) -> Callable[[str], int]:
    """The same for whole numbers."""

    def whole_number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{text} is not a whole number from {least} on")
        return value

    return whole_number
