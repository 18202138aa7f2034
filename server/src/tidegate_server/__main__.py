"""The command line: `fetch` brings a model, `serve` serves it; `selftest`, `profile` and `new-key` are for people."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from types import FrameType

from tidegate_server.errors import BadSetting, ModelRefused
from tidegate_server.fetch.report import write_report
from tidegate_server.settings import LOG_FORMAT, Settings, termination_log

log = logging.getLogger("tidegate_server")


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0; 1 for a model that can't be brought or served; 2 for settings that make no sense."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr)
    options = _parser().parse_args(argv)
    # The kernel ignores a signal without a handler for a container's first process.
    signal.signal(signal.SIGTERM, _exit)
    try:
        return _run(options)
    except BadSetting as error:
        log.error("%s", error)
        _write_termination_message("BadSetting", error, permanent=error.permanent)
        return 2
    except ModelRefused as error:
        log.error("can't serve the model: %s", error)
        _write_termination_message(error.reason, error, permanent=True)
        return 1


def _write_termination_message(reason: str, error: Exception, *, permanent: bool) -> None:
    """The operator shows the termination message, so that nobody has to look for the log of a pod that is gone."""
    report = {"reason": reason, "message": str(error), "permanent": permanent}
    write_report(report, termination_log(os.environ))


def _run(options: argparse.Namespace) -> int:
    environ = {**os.environ, **_environment(options)}
    if options.command == "fetch":
        from tidegate_server.fetch.run import fetch

        return fetch(environ)
    if options.command == "new-key":
        from tidegate_server.access import new_key

        return new_key.main([options.name])
    if options.command == "selftest":
        from tidegate_server.selftest import selftest

        return selftest(Settings.from_env(environ), write=options.write)
    if options.command == "profile":
        from tidegate_server.profiling import profile

        return profile(Settings.from_env(environ), options.data, bins=options.bins)
    from tidegate_server.serving import serve

    return serve(Settings.from_env(environ))


def _exit(_number: int, _frame: FrameType | None) -> None:
    """Nothing is served yet, so there is nothing to drain."""
    sys.exit(128 + signal.SIGTERM)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tidegate-server",
        description="Serves one ONNX model over HTTP and gRPC.",
        epilog="Every setting is a TIDEGATE_* environment variable; an option stands for one and wins over it.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    fetching = commands.add_parser("fetch", help="download the model and check it")
    fetching.add_argument(
        "--uri",
        dest="MODEL_URI",
        help="a file or a folder: file, pvc, http(s), s3, gs, az, hf, oci, image",
    )
    fetching.add_argument("--sha256", dest="MODEL_SHA256", help="the digest that the file must have")
    serving = commands.add_parser("serve", help="serve the model over HTTP")
    serving.add_argument("--host", dest="HOST", help="address to listen on (0.0.0.0)")
    serving.add_argument("--port", dest="PORT", help="port for HTTP (8080; 0 picks a free one)")
    serving.add_argument("--grpc-port", dest="GRPC_PORT", help="port for gRPC (8081)")
    serving.add_argument("--admin-port", dest="ADMIN_PORT", help="port for metrics and health (8082)")
    serving.add_argument("--name", dest="MODEL_NAME", help="name of the model (its file's name)")
    testing = commands.add_parser("selftest", help="ask the model the questions of the selftest.json beside it")
    testing.add_argument("--write", action="store_true", help="write that file from what the model answers now")
    profiling = commands.add_parser("profile", help="write how training data is distributed beside the model")
    profiling.add_argument("data", help="samples of it: .csv, .jsonl with bodies of /predict, .npy, or .npz by input")
    profiling.add_argument("--bins", type=int, default=10, help="of a number, at most (10)")
    keys = commands.add_parser("new-key", help="make an API key and the line that lets it in")
    keys.add_argument("name", help="whose key it is; the access log says so")
    for command in (fetching, serving, testing, profiling):
        command.add_argument("--model", dest="MODEL_PATH", help="the model's file or folder (/models/model.onnx)")
    return parser


def _environment(options: argparse.Namespace) -> Mapping[str, str]:
    return {f"TIDEGATE_{name}": value for name, value in vars(options).items() if name.isupper() and value is not None}


if __name__ == "__main__":
    sys.exit(main())
