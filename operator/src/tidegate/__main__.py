"""`tidegate PROGRAM`: the operator, the router's two programs, and the commands for people. Chooses one and runs it."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from tidegate.errors import TidegateError

PROGRAMS = {
    "operator": "decide and write, in the cluster",
    "router-agent": "keep Envoy's files up to date, beside each Envoy",
    "router-envoy": "start Envoy, and let it end without losing a request",
    "replay": "what the judge made of a rollout, or would make of it with other settings",
    "simulate": "play rollouts on synthetic traffic, and say what to expect of one",
}

FOR_PEOPLE = frozenset({"replay", "simulate"})


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of the chosen program; 2 for settings that make no sense."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Only the program's name is looked at: what follows it, --help included, is the program's own.
    program, rest = _parser().parse_args(arguments[:1]).program, arguments[1:]
    if program in FOR_PEOPLE:
        return _serve_a_person(program, rest)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        return _run(program, rest)
    except TidegateError as error:
        print(f"tidegate: {error}", file=sys.stderr)  # noqa: T201 - a person reads it
        return 2


def _serve_a_person(program: str, rest: Sequence[str]) -> int:
    try:
        if program == "replay":
            from tidegate.cli.replay import command as replay

            return replay.main(rest)

        from tidegate.cli.simulate import command as simulate

        return simulate.main(rest)
    except KeyboardInterrupt:
        return 130  # as a shell has it


def _run(program: str, rest: Sequence[str]) -> int:
    # Imported late: Envoy's starter needs neither kopf nor the Kubernetes client, and they are most of the memory.
    if program == "router-agent":
        from tidegate.router import agent

        return agent.main(list(rest))
    if program == "router-envoy":
        from tidegate.router import envoy

        return envoy.main(list(rest))

    from tidegate.controller import startup

    return startup.run(os.environ)


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, PROGRAMS))
    parser = argparse.ArgumentParser(
        prog="tidegate",
        usage="tidegate PROGRAM [OPTIONS]",
        description="Progressive releases of ONNX models on Kubernetes.",
        epilog="\n".join(["programs:", *(f"  {name:{width}}  {does}" for name, does in PROGRAMS.items())])
        + "\n\ntidegate PROGRAM --help says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("program", choices=PROGRAMS, metavar="PROGRAM", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
