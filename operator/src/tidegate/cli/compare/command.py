"""`tidegate compare`: whether two servers answer the same requests alike, as an exit code for pipelines and Jobs."""

import argparse
import json
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from tidegate.cli.common.agreement_options import add_agreement_options, agreement_rules
from tidegate.cli.common.arguments import exit_code, number_from, parser_of
from tidegate.cli.common.errors import Unusable
from tidegate.cli.common.output import write_line
from tidegate.cli.common.parsing import span
from tidegate.cli.common.two_servers import (
    CANDIDATE,
    STABLE,
    TOKEN,
    address_of,
    answered,
    checked_address,
    leave_behind,
    text_at,
)
from tidegate.judge.agreement import Agreement
from tidegate.judge.answers import Compare, Tolerances
from tidegate.model.gate import REFUSES
from tidegate.rehearsal.agreement import AgreementPlan, AgreementResult, Drawn, asking, compare, drawn
from tidegate.rehearsal.live_requests import LiveRequests
from tidegate.rehearsal.payloads import read_requests
from tidegate.resources.names import ADMIN_PORT

SAMPLES, SAMPLES_KEY = "TIDEGATE_SAMPLES_URL", "TIDEGATE_SAMPLES_KEY"
"""Of stable's samples of live requests."""
EXIT_CODES = {Agreement.AGREES: 0, Agreement.DIFFERS: REFUSES, Agreement.UNDECIDED: 124}

DESCRIPTION = """
Asks two servers the same requests, and stable twice, and compares the answers one by one, until it is plain whether the
candidate answers as stable does, beyond stable's own noise. No answer is written anywhere.
""".strip()
EPILOG = f"""
exit codes: 0 they answer alike; {REFUSES} they don't; 124 that isn't plain after --most requests, or after --within;
2 the command line makes no sense, or there is nothing to ask. Where servers ask for a key, {TOKEN} has it. With --live,
{SAMPLES_KEY} has the key of stable's samples, and {SAMPLES} their address where it isn't port
{ADMIN_PORT} of stable's host.

  tidegate compare http://old:8080 http://new:8080 \\
    --requests requests.jsonl --values
  tidegate compare http://old:8080 http://new:8080 --live
""".strip()


def main(argv: Sequence[str]) -> int:
    """The exit code."""
    arguments = _parser().parse_args(argv)
    return exit_code("tidegate compare", lambda: answered(lambda: run(arguments, os.environ), os.environ))


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Asks, and says what came of it. Raises TidegateError."""
    stable = address_of(arguments.stable, environ, "STABLE", STABLE)
    candidate = address_of(arguments.candidate, environ, "CANDIDATE", CANDIDATE)
    tolerances = Tolerances(Compare.VALUES if arguments.values else Compare.CLASSES)
    plan = AgreementPlan(agreement_rules(arguments), tolerances, arguments.most)
    source, token = _requests(arguments, environ, stable), environ.get(TOKEN, "")
    with asking(stable, token) as ask_stable, asking(candidate, token) as ask_candidate:
        result = compare(ask_stable, ask_candidate, source, plan, threading.Event())
    write_line(sys.stdout, _text(result, arguments.output))
    leave_behind(_text(result, "text"), environ)
    return EXIT_CODES[result.answer]


def _requests(arguments: argparse.Namespace, environ: Mapping[str, str], stable: str) -> Drawn:
    if not arguments.live:
        given = arguments.requests
        return drawn(read_requests(text_at(given, "--requests").splitlines(), arguments.name, given))
    if not (key := environ.get(SAMPLES_KEY, "").strip()):
        raise Unusable(f"--live: the variable {SAMPLES_KEY} has to have the key of stable's samples of requests")
    host = urlsplit(stable).hostname or ""
    at = f"http://[{host}]:{ADMIN_PORT}" if ":" in host else f"http://{host}:{ADMIN_PORT}"
    url = checked_address(environ.get(SAMPLES, at), f"the variable {SAMPLES}")
    return LiveRequests(url, key, arguments.rate, span(arguments.within).total_seconds())


def _text(result: AgreementResult, output: str) -> str:
    if output == "json":
        return json.dumps(result.to_dict(), indent=2)
    return f"{result.answer}: {result.sentence}"


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("tidegate compare", DESCRIPTION, EPILOG)
    parser.add_argument("stable", nargs="?", metavar="STABLE", help=f"a server's address; else {STABLE}")
    parser.add_argument("candidate", nargs="?", metavar="CANDIDATE", help=f"the other's; else {CANDIDATE}")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--requests",
        metavar="FILE",
        help="one request as JSON a line, as `tidegate rehearse` reads them; or an address that they are at",
    )
    source.add_argument("--live", action="store_true", help="samples of live requests, which stable's servers keep")
    parser.add_argument(
        "--rate", type=number_from(0.1, float), default=10.0, help="of --live: requests a second at most; 10"
    )
    parser.add_argument("--within", default="10m", metavar="TIME", help="of --live: how long it may take; 10m")
    parser.add_argument(
        "--values", action="store_true", help="compare all numbers, not only labels, best columns, whole numbers, text"
    )
    add_agreement_options(parser)
    parser.add_argument("--most", type=number_from(1, int), default=5000, help="requests that are drawn at most; 5000")
    parser.add_argument("--name", default="model", help="of the model in requests' paths; model")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    return parser
