"""`tidegate operator | router-agent | router-envoy`: reads the settings, builds the parts, runs them."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from tidegate.errors import TidegateError


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of the chosen program; 2 for settings that make no sense."""
    parser = argparse.ArgumentParser(prog="tidegate", description="Progressive releases of ONNX models on Kubernetes")
    parser.add_argument("program", choices=("operator", "router-agent", "router-envoy"))
    arguments, rest = parser.parse_known_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        return _run(arguments.program, rest)
    except TidegateError as error:
        print(f"tidegate: {error}", file=sys.stderr)  # noqa: T201 - a person reads it
        return 2


def _run(program: str, rest: Sequence[str]) -> int:
    # Imported late: Envoy's starter needs neither kopf nor the Kubernetes client, and they are most of the memory.
    if program == "router-agent":
        from tidegate.router import agent

        return agent.main(list(rest))
    if program == "router-envoy":
        from tidegate.router import envoy

        return envoy.main(list(rest))
    from tidegate import process

    return process.run(os.environ)


if __name__ == "__main__":
    sys.exit(main())
