"""`tidegate COMMAND`: the operator, the router's two programs, and the commands for people. Chooses one and runs it."""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from tidegate.errors import TidegateError


@dataclass(frozen=True)
class Command:
    """One that reads its own options; `module` has main(argv), which gives the exit code."""

    module: str
    help: str
    is_service: bool = False
    """Runs in the cluster and logs; the others serve one person, who may press Ctrl-C."""


COMMANDS = {
    "operator": Command("tidegate.controller.startup", "decide and write, in the cluster", is_service=True),
    "router-agent": Command("tidegate.router.agent", "tell Envoy what to do, beside each Envoy", is_service=True),
    "router-envoy": Command(
        "tidegate.router.envoy", "start Envoy, and let it end without losing a request", is_service=True
    ),
    "replay": Command(
        "tidegate.cli.replay.command", "what the judge made of a rollout, or would make of it with other settings"
    ),
    "dashboard": Command("tidegate.dashboard.command", "all rollouts, and each of them live, in a browser"),
    "rehearse": Command(
        "tidegate.cli.rehearse.command", "release a model on this machine, without a cluster; the verdict as exit code"
    ),
    "package": Command("tidegate.cli.package.command", "put a model into the image of its server, without Docker"),
    "verify": Command(
        "tidegate.cli.verify.command", "check any endpoint that serves a model; the outcome as exit code"
    ),
    "compare": Command(
        "tidegate.cli.compare.command", "whether two servers answer the same requests alike; the answer as exit code"
    ),
    "evaluate": Command(
        "tidegate.cli.evaluate.command", "how often a model is right on labelled requests; the answer as exit code"
    ),
    "simulate": Command(
        "tidegate.cli.simulate.command", "let rollouts run on synthetic traffic, and say what to expect of one"
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of the chosen command; 2 for settings that make no sense."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        # Only the command's name is looked at: what follows it, --help included, is the command's own.
        if arguments and arguments[0] in COMMANDS:
            return _run(COMMANDS[arguments[0]], arguments[1:])
        # Imported late, as every command is: what runs in the cluster needs neither typer nor rich.
        from tidegate.cli.app import main as choose

        return choose(arguments, {name: command.help for name, command in COMMANDS.items()})
    except TidegateError as error:
        print(f"tidegate: {error}", file=sys.stderr)  # noqa: T201 - a person reads it
        return 2


def _run(command: Command, arguments: Sequence[str]) -> int:
    if command.is_service:
        logging.basicConfig(
            level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
        )
    try:
        # Imported late: Envoy's starter needs neither kopf nor the Kubernetes client, and they are most of the memory.
        return int(import_module(command.module).main(arguments))
    except KeyboardInterrupt:
        if command.is_service:
            raise
        return 130  # as a shell has it


if __name__ == "__main__":
    sys.exit(main())
