"""`tidegate compare`: whether two servers answer the same requests alike, as an exit code for pipelines and Jobs."""

import argparse
import json
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import requests

from tidegate.cli.common.agreement_options import add_agreement_options, agreement_rules
from tidegate.cli.common.arguments import exit_code, number_from, parser_of
from tidegate.cli.common.errors import Unusable
from tidegate.cli.common.output import write_line
from tidegate.judge.agreement import Agreement
from tidegate.judge.answers import Compare, Tolerances
from tidegate.rehearsal.agreement import AgreementPlan, AgreementResult, asking, compare
from tidegate.rehearsal.payloads import Payload, read_requests

STABLE, CANDIDATE, TOKEN = "TIDEGATE_STABLE_URL", "TIDEGATE_CANDIDATE_URL", "TIDEGATE_TOKEN"
"""What is set in a Job that is a gate, and may be set elsewhere."""
FETCH_SECONDS = 30.0
MOST_BYTES = 256 * 2**20
EXIT_CODES = {Agreement.AGREES: 0, Agreement.DIFFERS: 1, Agreement.UNDECIDED: 124}

DESCRIPTION = """
Asks two servers the same requests, and stable twice, and compares the answers one by one, until it is plain whether the
candidate answers as stable does, beyond stable's own noise. No answer is written anywhere.
""".strip()
EPILOG = f"""
exit codes: 0 they answer alike; 1 they don't; 124 that isn't plain after --most requests; 2 the command line makes no
sense. Where servers ask for a key, {TOKEN} has it.

  tidegate compare http://old:8080 http://new:8080 \\
    --requests requests.jsonl --values
""".strip()


def main(argv: Sequence[str]) -> int:
    """The exit code."""
    arguments = _parser().parse_args(argv)
    return exit_code("tidegate compare", lambda: run(arguments, os.environ))


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Asks, and says what came of it. Raises TidegateError."""
    stable = _address(arguments.stable or environ.get(STABLE, ""), f"STABLE, or the variable {STABLE},")
    candidate = _address(arguments.candidate or environ.get(CANDIDATE, ""), f"CANDIDATE, or the variable {CANDIDATE},")
    tolerances = Tolerances(Compare.VALUES if arguments.values else Compare.CLASSES)
    plan = AgreementPlan(agreement_rules(arguments), tolerances, arguments.most)
    payloads, token = _payloads(arguments.requests, arguments.name), environ.get(TOKEN, "")
    with asking(stable, token) as ask_stable, asking(candidate, token) as ask_candidate:
        result = compare(ask_stable, ask_candidate, payloads, plan, threading.Event())
    write_line(sys.stdout, _text(result, arguments.output))
    return EXIT_CODES[result.answer]


def _text(result: AgreementResult, output: str) -> str:
    if output == "json":
        return json.dumps(result.to_dict(), indent=2)
    return f"{result.answer}: {result.sentence}"


def _address(given: str, which: str) -> str:
    parts = urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Unusable(f"{which} is {given!r}, which is no address such as http://sentiment.shop:8080")
    return given


def _payloads(given: str, name: str) -> Sequence[Payload]:
    try:
        text = _fetched(given) if given.startswith(("http://", "https://")) else Path(given).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:  # what requests raises is an OSError too
        raise Unusable(f"--requests: {given} can't be read: {error}") from error
    return read_requests(text.splitlines(), name, given)


def _fetched(url: str) -> str:
    with requests.get(url, timeout=FETCH_SECONDS, stream=True) as response:
        response.raise_for_status()
        content = bytearray()
        for part in response.iter_content(2**16):
            content += part
            if len(content) > MOST_BYTES:
                raise Unusable(f"--requests: {url} has more than {MOST_BYTES // 2**20} MiB; cut it")
    return content.decode()


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("tidegate compare", DESCRIPTION, EPILOG)
    parser.add_argument("stable", nargs="?", metavar="STABLE", help=f"a server's address; else {STABLE}")
    parser.add_argument("candidate", nargs="?", metavar="CANDIDATE", help=f"the other's; else {CANDIDATE}")
    parser.add_argument(
        "--requests",
        required=True,
        metavar="FILE",
        help="one request as JSON a line, as `tidegate rehearse` reads them; or an address that they are at",
    )
    parser.add_argument(
        "--values", action="store_true", help="compare all numbers, not only labels, best columns, whole numbers, text"
    )
    add_agreement_options(parser)
    parser.add_argument("--most", type=number_from(1, int), default=5000, help="requests that are drawn at most; 5000")
    parser.add_argument("--name", default="model", help="of the model in requests' paths; model")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    return parser
