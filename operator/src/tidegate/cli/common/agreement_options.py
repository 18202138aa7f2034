"""What the commands that compare answers have in common."""

import argparse

from tidegate.cli.common.errors import Unusable
from tidegate.cli.common.parsing import share
from tidegate.judge.agreement import AgreementRules


def add_agreement_options(parser: argparse.ArgumentParser) -> None:
    """`--tolerate` and `--accept`."""
    parser.add_argument(
        "--tolerate", default="0.1%", metavar="SHARE", help="of the requests may be answered otherwise; 0.1%%"
    )
    parser.add_argument(
        "--accept", default="1%", metavar="SHARE", help="of the requests that has to be ruled out to agree; 1%%"
    )


def agreement_rules(arguments: argparse.Namespace) -> AgreementRules:
    """What those options say. Raises Unusable."""
    try:
        return AgreementRules(share(arguments.tolerate), share(arguments.accept))
    except ValueError as error:
        raise Unusable(f"--tolerate, --accept: {error}") from error
