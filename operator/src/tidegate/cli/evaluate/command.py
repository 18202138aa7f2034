"""`tidegate evaluate`: how often a model is right on labelled requests, as an exit code for pipelines and Jobs."""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict

from tidegate.cli.common.arguments import exit_code, parser_of
from tidegate.cli.common.output import write_line
from tidegate.cli.common.parsing import share
from tidegate.cli.common.two_servers import CANDIDATE, STABLE, TOKEN, address_of, answered, leave_behind, text_at
from tidegate.judge.accuracy import AccuracyRules, is_accurate, told
from tidegate.model.gate import REFUSES
from tidegate.rehearsal.agreement import asking
from tidegate.rehearsal.labelled import accuracy, read_labelled

ACCURATE, INACCURATE = 0, REFUSES
DESCRIPTION = """
Asks a candidate, and stable where there is one, requests whose answers are known, and counts who is right on how many.
No answer is written anywhere.
""".strip()
EPILOG = f"""
exit codes: 0 the candidate is right as often as it has to be; {REFUSES} it isn't; 2 the command line makes no sense, or
the requests aren't ones for this model. Where servers ask for a key, {TOKEN} has it.

  tidegate evaluate http://new:8080 --labelled golden.jsonl --least 95%
  tidegate evaluate http://new:8080 --stable http://old:8080 \\
    --labelled golden.jsonl --tolerate 0.5%
""".strip()


def main(argv: Sequence[str]) -> int:
    """The exit code."""
    arguments = _parser().parse_args(argv)
    return exit_code("tidegate evaluate", lambda: answered(lambda: run(arguments, os.environ), os.environ))


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Asks, and says what came of it. Raises TidegateError."""
    rules = AccuracyRules(share(arguments.least), share(arguments.tolerate))
    candidate = address_of(arguments.candidate, environ, "CANDIDATE", CANDIDATE)
    has_stable = arguments.stable or environ.get(STABLE)
    stable = address_of(arguments.stable, environ, "--stable", STABLE) if has_stable else None
    given = arguments.labelled
    labelled = read_labelled(text_at(given, "--labelled").splitlines(), arguments.name, given)
    token = environ.get(TOKEN, "")
    with ExitStack() as stack:
        ask_candidate = stack.enter_context(asking(candidate, token))
        ask_stable = stack.enter_context(asking(stable, token)) if stable else None
        found = accuracy(labelled, ask_candidate, ask_stable, arguments.answer)
    is_good, sentence = is_accurate(found, rules), told(found, rules)
    text = f"{'Accurate' if is_good else 'Inaccurate'}: {sentence}"
    document = {"accurate": is_good, **asdict(found), "message": sentence}
    write_line(sys.stdout, json.dumps(document, indent=2) if arguments.output == "json" else text)
    leave_behind(text, environ)
    return ACCURATE if is_good else INACCURATE


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("tidegate evaluate", DESCRIPTION, EPILOG)
    parser.add_argument("candidate", nargs="?", metavar="CANDIDATE", help=f"a server's address; else {CANDIDATE}")
    parser.add_argument("--stable", metavar="URL", help=f"the one before; else {STABLE}, else none")
    parser.add_argument(
        "--labelled",
        required=True,
        metavar="FILE",
        help='one request as JSON a line, with "expected", the class that is right; or an address that they are at',
    )
    parser.add_argument("--least", default="0%", metavar="SHARE", help="of the rows has to be right; 0%%")
    parser.add_argument(
        "--tolerate", default="0%", metavar="SHARE", help="of the rows that the candidate may be below stable by; 0%%"
    )
    parser.add_argument("--answer", default="", metavar="NAME", help="of the output that has the class, if not found")
    parser.add_argument("--name", default="model", help="of the model in requests' paths; model")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    return parser
