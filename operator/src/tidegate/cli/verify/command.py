"""`tidegate verify`: checks of any endpoint that serves a model, and their outcome as the exit code."""

import argparse
import json
import os
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from time import monotonic, sleep

from tidegate.cli.common.arguments import exit_code, number_from, parser_of
from tidegate.cli.common.columns import Style, styled
from tidegate.cli.common.errors import Unusable
from tidegate.cli.common.output import wants_colour, write_file, write_line
from tidegate.cli.common.parsing import span
from tidegate.cli.common.progress import progress_message
from tidegate.cli.verify.files import RequestFile, check_writable, read
from tidegate.errors import TidegateError
from tidegate.rehearsal.payloads import Payload
from tidegate.verification import rest
from tidegate.verification.asking import NO_ANSWER, Address, Endpoint
from tidegate.verification.credentials import Credentials, credentials
from tidegate.verification.latency import Pace, latency
from tidegate.verification.protocol import encoded
from tidegate.verification.recognition import not_recognised
from tidegate.verification.report import Report, json_of, junit_of, line_of, markdown_of
from tidegate.verification.row import Row, State, failed, not_asked, ok

STYLES = {State.OK: Style.GOOD, State.LACKS: Style.DOUBTFUL, State.FAILED: Style.BAD, State.NOT_ASKED: Style.PLAIN}
KEY_VARIABLE = "TIDEGATE_VERIFY_KEY"
UNLISTED = "the server answers, but doesn't list its models; name one by --model NAME"
SECONDS_BETWEEN_TRIES = 0.5

DESCRIPTION = """
Asks a server that speaks the Open Inference Protocol, ours or another: health, metadata, right requests and wrong
ones, binary tensors, gRPC, credentials, and how soon it answers at a steady rate.
""".strip()
EPILOG = f"""
exit codes: 0 nothing has failed (what a server lacks is told, and fails only with --strict); 1 something has;
2 the command line makes no sense.

The key is read from --key-file or {KEY_VARIABLE}.

  tidegate verify http://127.0.0.1:8080 --grpc 127.0.0.1:8081 \\
    --rate 50 --seconds 10 --max-p99 100ms
""".strip()

Stage = tuple[str, Callable[[], Iterator[Row]]]


def main(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """The exit code."""
    arguments = _parser().parse_args(argv)
    return exit_code("tidegate verify", lambda: run(arguments, environ))


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Looks at what the command line names. Raises TidegateError."""
    for path, option in ((arguments.junit, "--junit"), (arguments.markdown, "--markdown")):
        if path:
            check_writable(path, option)
    checks = _checks(arguments, environ)
    stages = chain(checks.stages() if checks else (), _of_image(arguments))
    report = Report(arguments.url or arguments.image, _shown(arguments, stages), arguments.strict)
    for path, text in ((arguments.junit, junit_of), (arguments.markdown, markdown_of)):
        if path:
            write_file(path, text(report))
    is_json = arguments.output == "json"
    write_line(sys.stdout, json.dumps(json_of(report), indent=2) if is_json else report.conclusion)
    return report.exit_code


def _shown(arguments: argparse.Namespace, stages: Iterator[Stage]) -> list[Row]:
    """All rows; a person sees them as they come."""
    rows, colour = [], wants_colour(sys.stdout)
    for name, stage in stages:
        with progress_message(f"tidegate verify: {name} …"):
            for row in stage():
                rows.append(row)
                if arguments.output == "table":
                    line = line_of(row)
                    mark = styled(row.state.value, STYLES[row.state], colour=colour)
                    write_line(sys.stdout, mark + line[len(row.state.value) :])
    return rows


@dataclass(frozen=True)
class Checks:
    """What is asked, of whom."""

    nobody: Endpoint
    """The server as a caller without credentials sees it."""
    given: Credentials | None
    model: str
    """Empty where the server has to say it."""
    requests: RequestFile | None
    grpc: str
    ca: bytes | None
    pace: Pace
    wait: float
    """Seconds that the server has to become ready."""

    def stages(self) -> Iterator[Stage]:
        """In the order in which one rests on the other. Raises Unusable where the server has several models."""
        reached = list(self._port())
        yield "waits for the server", lambda: iter(reached)
        if reached[0].state is State.FAILED:
            yield "", lambda: iter([not_asked("all else", "nobody listens there")])
            return
        endpoint = self.nobody
        if self.given:
            endpoint = replace(endpoint, headers={**endpoint.headers, **self.given.headers()})
        # Who names a model and its requests may have a server that has inference and nothing else.
        stranger = None if self.model and self.requests else not_recognised(endpoint, self.model)
        if stranger:
            yield "", lambda: iter([stranger, not_asked("all else", "no server of the protocol answers there")])
            return
        names = [self.model] if self.model else rest.model_names(endpoint)
        if not names:
            yield "", lambda: iter([failed("model", UNLISTED), not_asked("all else", "nobody says the model's name")])
            return
        subject = rest.Subject(endpoint, _only(names))
        subject.payloads = self.requests.payloads(subject.model) if self.requests else ()
        yield "health", lambda: rest.health(subject)
        yield "credentials", lambda: credentials(self.nobody, self.given, subject.path)
        yield "metadata", lambda: rest.metadata(subject)
        rest.choose_request(subject)
        yield "inference", lambda: rest.inference(subject)
        yield "recorded requests", lambda: rest.recorded(subject)
        yield "callers' mistakes", lambda: rest.callers_mistakes(subject)
        yield "binary tensors", lambda: rest.binary_tensors(subject)
        yield "gRPC", lambda: self._by_grpc(subject)
        what = f"asks {self.pace.rate:g} times a second for {self.pace.seconds:g} s"
        yield what, lambda: latency(endpoint, _payloads(subject), self.pace)

    def _port(self) -> Iterator[Row]:
        """Whether anybody listens, and is ready within `wait`."""
        deadline = monotonic() + self.wait
        with progress_message(f"tidegate verify: waits for {self.nobody.address} …"):
            while not self._is_there() and monotonic() < deadline:
                sleep(SECONDS_BETWEEN_TRIES)
            answer = self.nobody.reach()
        where = f"{self.nobody.address.host}:{self.nobody.address.port}"
        if answer.status == NO_ANSWER:
            yield failed("port", f"{where}: {answer.trouble}", answer.seconds)
            return
        yield ok("port", f"{where} takes connections", answer.seconds)

    def _is_there(self) -> bool:
        if not self.wait:
            return True
        return self.nobody.ask("GET", "/v2/health/ready").status == 200

    def _by_grpc(self, subject: rest.Subject) -> Iterator[Row]:
        if not self.grpc:
            yield not_asked("gRPC", "no address was given by --grpc HOST:PORT")
            return
        if find_spec("grpc") is None or find_spec("google.protobuf") is None:
            yield not_asked("gRPC", "grpcio isn't installed here; install it with: pip install 'tidegate[verify]'")
            return
        from tidegate.verification.grpc_calls import Caller, calls, without_credentials

        with Caller(self.grpc, subject.endpoint.headers, self.nobody.timeout, self.ca) as caller:
            yield from calls(caller, subject)
        if self.given:
            with Caller(self.grpc, self.nobody.headers, self.nobody.timeout, self.ca) as stranger:
                yield from without_credentials(stranger, subject)


def _of_image(arguments: argparse.Namespace) -> Iterator[Stage]:
    """The image as published, where one is named."""
    if not arguments.image:
        return
    from tidegate.verification.image import Published
    from tidegate.verification.image import checks as image_checks

    labels = {name: value if separator else None for name, separator, value in map(_parted, arguments.label)}
    digest = arguments.digest or arguments.image.partition("@")[2]
    published = Published(arguments.image, digest, labels)
    yield f"looks at {arguments.image}", lambda: image_checks(published)


def _parted(label: str) -> tuple[str, str, str]:
    return label.partition("=")


def _payloads(subject: rest.Subject) -> Sequence[Payload]:
    if subject.payloads or subject.request is None or subject.answer is None:
        return subject.payloads
    return [Payload(f"{subject.path}/infer", encoded(subject.request))]


def _only(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    raise Unusable(f"--model is missing: the server has {', '.join(sorted(names)[:10])}")


def _checks(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Checks | None:
    """None where only an image is looked at."""
    if not arguments.url:
        if not arguments.image:
            raise Unusable("nothing is asked for: give URL, --image IMAGE, or both")
        return None
    try:
        address = Address.parse(arguments.url)
    except TidegateError as error:
        raise Unusable(str(error)) from error
    ca = read(arguments.ca, "--ca") if arguments.ca else None
    limit = span(arguments.max_p99).total_seconds() if arguments.max_p99 else None
    tls = ssl.create_default_context(cadata=ca.decode() if ca else None) if address.scheme == "https" else None
    return Checks(
        nobody=Endpoint(address, _headers(arguments.header), span(arguments.timeout).total_seconds(), tls),
        given=_credentials(arguments, environ),
        model=arguments.model,
        requests=RequestFile.open(arguments.requests, arguments.model) if arguments.requests else None,
        grpc=arguments.grpc,
        ca=ca,
        pace=Pace(arguments.rate, arguments.seconds, limit),
        wait=span(arguments.wait).total_seconds() if arguments.wait else 0.0,
    )


def _credentials(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Credentials | None:
    key = environ.get(KEY_VARIABLE, "")
    if arguments.key_file:
        key = read(arguments.key_file, "--key-file").decode(errors="replace")
    key = key.strip()
    if arguments.key_file and not key:
        raise Unusable(f"--key-file: {arguments.key_file} is empty")
    return Credentials(key, arguments.key_header) if key else None


def _headers(given: Sequence[str]) -> Mapping[str, str]:
    found = {}
    for each in given:
        name, separator, value = each.partition(":")
        if not separator or not name.strip():
            raise Unusable(f"--header {each}: it has to be 'NAME: VALUE', as in 'Host: digits.shop'")
        found[name.strip()] = value.strip()
    return found


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("tidegate verify", DESCRIPTION, EPILOG)
    parser.add_argument(
        "url", nargs="?", default="", metavar="URL", help="what stands before the protocol's paths: http://HOST:PORT"
    )
    parser.add_argument(
        "--model", default="", metavar="NAME", help="where the server has several, or doesn't list them"
    )
    parser.add_argument("--grpc", default="", metavar="HOST:PORT", help="of its gRPC; grpcs://HOST:PORT for TLS")
    parser.add_argument(
        "--requests", type=Path, metavar="FILE", help="one request as JSON a line, as for `tidegate rehearse`"
    )
    parser.add_argument("--key-file", type=Path, metavar="FILE", help="an API key or a token that it takes")
    parser.add_argument("--key-header", default="Authorization", metavar="NAME", help="Authorization, with Bearer")
    parser.add_argument("-H", "--header", action="append", default=[], metavar="'NAME: VALUE'", help="repeats")
    parser.add_argument("--ca", type=Path, metavar="FILE.pem", help="whoever signed the server's certificate")
    parser.add_argument("--rate", type=number_from(0, float), default=20.0, help="requests a second; 20, 0 for none")
    parser.add_argument("--seconds", type=number_from(0, float), default=5.0, help="for so long; 5")
    parser.add_argument("--max-p99", metavar="SPAN", help="of the latency at that rate, such as 100ms")
    parser.add_argument("--timeout", default="30s", metavar="SPAN", help="of one answer; 30s")
    parser.add_argument("--wait", metavar="SPAN", help="for the server to become ready, such as 2m")
    parser.add_argument(
        "--image", default="", metavar="IMAGE", help="as published: a reference, or oci:PATH of a layout"
    )
    parser.add_argument("--digest", default="", metavar="sha256:…", help="that the image has to have")
    parser.add_argument(
        "--label", action="append", default=[], metavar="NAME[=VALUE]", help="that the image has to have; repeats"
    )
    parser.add_argument("--strict", action="store_true", help="what the server lacks is a failure too")
    parser.add_argument("--output", choices=("table", "json"), default="table")
    parser.add_argument("--junit", type=Path, metavar="FILE.xml", help="write a test case for each check")
    parser.add_argument("--markdown", type=Path, metavar="FILE.md", help="write it for a pull request")
    return parser
