"""The command line: `tidegate-server fetch` brings a model, `tidegate-server serve` serves it."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from types import FrameType

from tidegate_server.errors import BadSetting, ModelRefused
from tidegate_server.settings import Settings

log = logging.getLogger("tidegate_server")


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0; 1 for a model that can't be brought or served; 2 for settings that make no sense."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    options = _parser().parse_args(argv)
    # The kernel ignores a signal without a handler for a container's first process.
    signal.signal(signal.SIGTERM, _end)
    try:
        return _run(options.command, {**os.environ, **_given(options)})
    except BadSetting as error:
        log.error("%s", error)
        return 2
    except ModelRefused as error:
        log.error("can't serve the model: %s", error)
        return 1


def _run(command: str, environ: Mapping[str, str]) -> int:
    if command == "fetch":
        from tidegate_server.fetch.run import fetch

        return fetch(environ)
    from tidegate_server.serving import serve

    serve(Settings.from_env(environ))
    return 0


def _end(_number: int, _frame: FrameType | None) -> None:
    """Nothing is served yet, so there is nothing to drain."""
    sys.exit(128 + signal.SIGTERM)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tidegate-server",
        description="Serves one ONNX model over HTTP.",
        epilog="Every setting is a TIDEGATE_* environment variable; an option stands for one and wins over it.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    fetching = commands.add_parser("fetch", help="download the model and check it")
    fetching.add_argument("--uri", dest="MODEL_URI", help="file://, http:// or https://")
    fetching.add_argument("--sha256", dest="MODEL_SHA256", help="the digest that the file must have")
    serving = commands.add_parser("serve", help="serve the model over HTTP")
    serving.add_argument("--host", dest="HOST", help="address to listen on (0.0.0.0)")
    serving.add_argument("--port", dest="PORT", help="port to listen on (8080; 0 picks a free one)")
    serving.add_argument("--name", dest="MODEL_NAME", help="name of the model (its file's name)")
    for command in (fetching, serving):
        command.add_argument("--model", dest="MODEL_PATH", help="the model's file (/models/model.onnx)")
    return parser


def _given(options: argparse.Namespace) -> Mapping[str, str]:
    return {f"TIDEGATE_{name}": value for name, value in vars(options).items() if name.isupper() and value is not None}


if __name__ == "__main__":
    sys.exit(main())
