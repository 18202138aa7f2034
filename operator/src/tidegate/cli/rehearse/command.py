"""`tidegate rehearse`: a release on this machine, without a cluster, and its verdict as the exit code."""

import argparse
import json
import logging
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit

from tidegate.cli.common.agreement_options import add_agreement_options, agreement_rules
from tidegate.cli.common.arguments import add_shared_options, exit_code, number_from, parser_of
from tidegate.cli.common.crd_file import spec_schema
from tidegate.cli.common.errors import Unusable
from tidegate.cli.common.output import write_file, write_line
from tidegate.cli.common.parsing import span
from tidegate.cli.common.set_option import patched
from tidegate.cli.common.spec_file import read_spec
from tidegate.cli.rehearse.screen import Screen
from tidegate.cli.replay.by_record import report_of_record
from tidegate.cli.replay.svg import svg_of
from tidegate.errors import TidegateError
from tidegate.judge.answers import Compare, Tolerances
from tidegate.metrics.record import decode
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.rehearsal.agreement import GATE, AgreementPlan
from tidegate.rehearsal.engine import SCRAPE_INTERVAL, Plan, Rehearsal
from tidegate.rehearsal.model_server import require_server
from tidegate.rehearsal.payloads import Payload, example_requests, read_requests
from tidegate.rehearsal.rehearsable import quick, rehearsable
from tidegate.rehearsal.report import Report, json_of, junit_of, markdown_of, text_of
from tidegate.rehearsal.router import can_be_routed

PARTS = ("analysis", "strategy", "replicas")
"""Of the spec that --set may change."""
ANY_MODEL = {
    "model": {"uri": "file:///rehearsed.onnx"},
    "strategy": {"canary": {"steps": [{"weight": 10}, {"weight": 50}]}},
}
MODEL_NAME = "model"
LARGEST_SELFTEST = 16 * 2**20

DESCRIPTION = """
Releases CANDIDATE beside STABLE on this machine: real model servers as processes, a real Envoy with Tidegate's own
router, requests, the operator's own decisions and its judge. Needs no cluster, no Docker and no Prometheus.
STABLE and CANDIDATE are ONNX files, or folders with one and what belongs to it (tokenizer.json, labels.json …).
""".strip()
EPILOG = """
exit codes: 0 the candidate was promoted; 1 it was rolled back, or can't be served; 124 undecided within --timeout;
2 the command line makes no sense.

  tidegate rehearse model-v1.onnx model-v2.onnx --requests requests.jsonl
""".strip()


def main(argv: Sequence[str]) -> int:
    """The exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    return exit_code("tidegate rehearse", lambda: run(arguments))


def run(arguments: argparse.Namespace) -> int:
    """Rehearses what the command line asks for. Raises TidegateError."""
    require_server()
    signal.signal(signal.SIGTERM, _end)
    raw = _raw_spec(arguments)
    spec, left_out = rehearsable(ModelDeploymentSpec.parse(raw))
    plan = _plan(arguments, quick(spec) if arguments.speed == "quick" else spec)
    with (
        TemporaryDirectory(prefix="tidegate-", ignore_cleanup_errors=True) as folder,
        _screen(arguments, raw) as screen,
    ):
        ending = Rehearsal(plan, Path(folder)).run(screen.show)
    report = Report(arguments.stable, arguments.candidate, ending, left_out)
    _write_files(arguments, report)
    write_line(sys.stdout, json.dumps(json_of(report), indent=2) if arguments.output == "json" else text_of(report))
    return report.exit_code


def _end(number: int, _: object) -> None:
    """A job that is cancelled ends all that it has started, as Ctrl-C does."""
    raise SystemExit(128 + number)


def _screen(arguments: argparse.Namespace, raw: Mapping[str, Any]) -> Screen:
    # What is for a program has nothing else on its way.
    return Screen(sys.stderr if arguments.output == "json" else sys.stdout, arguments.name, raw)


def _raw_spec(arguments: argparse.Namespace) -> Mapping[str, Any]:
    schema = spec_schema()
    given = read_spec(arguments.file, schema, PARTS[:2], ANY_MODEL) if arguments.file else ANY_MODEL
    return patched(given, schema, arguments.set, PARTS)


def _plan(arguments: argparse.Namespace, spec: ModelDeploymentSpec) -> Plan:
    if not can_be_routed(arguments.name):
        raise Unusable(f"--name: {arguments.name!r} is no name of a model; use lower case letters, digits and '-'")
    stable, candidate = _model(arguments.stable, "STABLE"), _model(arguments.candidate, "CANDIDATE")
    agreement = _agreement(arguments)
    return Plan(
        name=arguments.name,
        spec=replace(spec, replicas=max(1, spec.replicas), gates=(GATE,) if agreement else ()),
        stable=stable,
        candidate=candidate,
        payloads=_payloads(arguments, stable),
        rate=arguments.rate,
        warm_up=span(arguments.warm_up),
        limit=span(arguments.timeout),
        agreement=agreement,
    )


def _agreement(arguments: argparse.Namespace) -> AgreementPlan | None:
    if arguments.agreement is None:
        return None
    return AgreementPlan(agreement_rules(arguments), Tolerances(Compare(arguments.agreement)))


def _model(given: str, which: str) -> Path:
    """A path as it is, or as file:// has it. Raises Unusable."""
    parts = urlsplit(given)
    if parts.scheme and parts.scheme != "file" and "://" in given:
        raise Unusable(f"{which}: {given} isn't on this machine; download it first: tidegate-server fetch --help")
    path = Path(unquote(parts.path) if parts.scheme == "file" else given)
    if not path.exists():
        raise Unusable(f"{which}: there is no file or folder {path}")
    return path.resolve()


def _payloads(arguments: argparse.Namespace, stable: Path) -> Sequence[Payload]:
    """Those of --requests, else the examples beside the model; none where they have to be made up."""
    if arguments.requests:
        try:
            with arguments.requests.open(encoding="utf-8") as lines:
                return read_requests(lines, arguments.name, str(arguments.requests))
        except (OSError, UnicodeDecodeError) as error:
            raise Unusable(f"--requests: {arguments.requests} can't be read: {error}") from error
    selftest = (stable if stable.is_dir() else stable.parent) / "selftest.json"
    if not selftest.is_file() or selftest.stat().st_size > LARGEST_SELFTEST:
        return ()
    try:
        return example_requests(json.loads(selftest.read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError) as error:
        raise TidegateError(f"{selftest} can't be read: {error}; give requests by --requests FILE") from error


def _write_files(arguments: argparse.Namespace, report: Report) -> None:
    written = ((arguments.junit, junit_of), (arguments.markdown, markdown_of))
    for path, text in written:
        if path:
            write_file(path, text(report))
    if arguments.record or arguments.picture:
        _write_evidence(arguments, report)


def _write_evidence(arguments: argparse.Namespace, report: Report) -> None:
    record = report.ending.record
    if record is None:
        write_line(sys.stderr, "There is no evidence to draw or to keep: the candidate had no traffic.")
        return
    if arguments.record:
        write_file(arguments.record, f"{record}\n")
    if arguments.picture:
        replayed = report_of_record(decode(record), None, SCRAPE_INTERVAL, (), report.ending.at)
        write_file(arguments.picture, svg_of(replayed))


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("tidegate rehearse", DESCRIPTION, EPILOG)
    parser.add_argument("stable", metavar="STABLE", help="the model that users have now")
    parser.add_argument("candidate", metavar="CANDIDATE", help="the model that is to take its place")
    parser.add_argument(
        "-f", "--file", type=Path, help="a ModelDeployment whose strategy and analysis are rehearsed; - for stdin"
    )
    parser.add_argument(
        "--requests",
        type=Path,
        metavar="FILE",
        help="one request as JSON a line: bodies of /predict or the Open Inference Protocol, or the payload log's "
        "CloudEvents; else the examples of selftest.json, or made up of the signature",
    )
    parser.add_argument("--rate", type=number_from(1, float), default=200.0, help="requests a second; 200")
    parser.add_argument("--warm-up", default="10s", metavar="SPAN", help="while stable serves alone; 10s")
    parser.add_argument("--timeout", default="3m", metavar="SPAN", help="of the release; 3m")
    parser.add_argument(
        "--speed",
        choices=("quick", "as-written"),
        default="quick",
        help="quick: looks each second and waits for nothing but evidence, with the same bounds; "
        "as-written: with the durations of --file",
    )
    parser.add_argument(
        "--agreement",
        choices=[each.value for each in Compare],
        help="before any traffic ask both models the same requests, and go on only where they answer alike: in the "
        "best class and in text, or in all values within tolerances",
    )
    add_agreement_options(parser)
    parser.add_argument("--name", default=MODEL_NAME, help="of the model in requests' paths; model")
    parser.add_argument("--junit", type=Path, metavar="FILE.xml", help="write the verdict as a test case")
    parser.add_argument("--markdown", type=Path, metavar="FILE.md", help="write it for a pull request")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw the evidence")
    parser.add_argument("--record", type=Path, metavar="FILE", help="keep the evidence for `tidegate replay --record`")
    add_shared_options(parser, "below spec.analysis or spec.strategy, or replicas, such as replicas=2")
    return parser
