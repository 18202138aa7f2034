"""Options that several commands for people have, as typer reads them."""

import os
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from tidegate.cli.common.arguments import exit_code
from tidegate.cli.common.documents import Output

Namespace = Annotated[str | None, typer.Option("-n", "--namespace", help="The context's, if left out.")]
Kubeconfig = Annotated[str | None, typer.Option(metavar="FILE", help="kubectl's, if left out.")]
Context = Annotated[str | None, typer.Option(help="Of the kubeconfig; the current one, if left out.")]
AllNamespaces = Annotated[bool, typer.Option("-A", "--all-namespaces", help="Of the whole cluster.")]
Out = Annotated[Output, typer.Option("-o", "--output", help="For people or for programs.")]


def model_names(incomplete: str) -> list[str]:
    """For the shell's completion: the models of the namespace."""
    from tidegate.cli.common.completion import names_in

    line = os.environ.get("_TYPER_COMPLETE_ARGS") or os.environ.get("COMP_WORDS") or ""
    return names_in(line.split(), incomplete)


Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the ModelDeployment.", autocompletion=model_names)]


class Shell(StrEnum):
    """Those that are told how a command line may go on."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    KUBECTL = "kubectl"


def run(command: str, call: Callable[[], int]) -> None:
    """Ends the process with the exit code of what a command does; what it can't do is one sentence."""
    raise typer.Exit(exit_code(f"tidegate {command}", call))
