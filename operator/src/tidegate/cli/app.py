"""The commands for people, and their options. Each imports what it does when chosen, so `--help` waits for nothing."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.common.documents import Output
from tidegate.cli.common.options import AllNamespaces, Context, Kubeconfig, Name, Namespace, Out, model_names, run
from tidegate.cli.common.where import Where
from tidegate.cli.control import options as control

COMPLETE = "_TIDEGATE_COMPLETE"
"""Set by a shell that wants to know how a command line may go on."""

app = typer.Typer(
    name="tidegate",
    help="Progressive releases of ONNX models on Kubernetes. Also `kubectl tidegate`.",
    no_args_is_help=True,
    rich_markup_mode=None,  # rich's help takes as long again to appear
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: Sequence[str], others: Mapping[str, str]) -> int:
    """The exit code of the chosen command. `others` are the commands that read their own options, and their help."""
    for name, summary in others.items():
        app.command(name, help=f"{summary[0].upper()}{summary[1:]}.")(_elsewhere)
    try:
        app(list(arguments), prog_name="tidegate", complete_var=COMPLETE)
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def _elsewhere() -> None:
    """Never called: `tidegate.__main__` has run it before."""


@app.command(short_help="List models, as kubectl does.")
def get(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="All, if left out.", autocompletion=model_names)
    ] = None,
    namespace: Namespace = None,
    all_namespaces: AllNamespaces = False,
    output: Out = Output.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """List models and how their rollouts stand, as `kubectl get` does."""
    from tidegate.cli.get.command import get

    where = Where(namespace, kubeconfig, context, all_namespaces)
    run("get", lambda: get(where, names or (), output))


@app.command(short_help="Show one rollout; --watch, --wait.")
def status(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="All, in short, if left out.", autocompletion=model_names)
    ] = None,
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Show it live until Ctrl-C.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Until the newest spec is live or has failed.")] = False,
    timeout: Annotated[str, typer.Option(metavar="SPAN", help="Of --wait.")] = "1h",
    namespace: Namespace = None,
    all_namespaces: AllNamespaces = False,
    output: Out = Output.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Show a rollout: the sentence, weights, evidence, pods, history.

    Exit codes of --wait: 0 it is live; 1 it was rolled back, failed, or can't be told; 124 neither within --timeout.
    """
    from tidegate.cli.common.errors import Unusable
    from tidegate.cli.common.parsing import span
    from tidegate.cli.status import command

    def show() -> int:
        where = Where(namespace, kubeconfig, context, all_namespaces)
        if name is None and (watch or wait):
            raise Unusable("NAME is missing: --watch and --wait are about one model")
        if name is None:
            return command.status_of_all(where, output)
        limit: timedelta = span(timeout)
        if wait:
            return command.wait(where, name, limit, output)
        return command.watch(where, name) if watch else command.status(where, name, output)

    run("status", show)


@app.command()
def history(
    name: Name,
    namespace: Namespace = None,
    output: Out = Output.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """List revisions and how rollouts ended."""
    from tidegate.cli.history.command import history

    where = Where(namespace, kubeconfig, context)
    run("history", lambda: history(where, name, output))


control.register(app)


@app.command(short_help="Check files, without a cluster.")
def lint(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files, folders, or - for stdin.")],
    output: Out = Output.TABLE,
) -> None:
    """Say what a cluster would refuse in ModelDeployments, by the CRD's own schema and rules.

    Exit codes: 0 nothing is wrong; 1 something is; 2 a file can't be read, or there is no ModelDeployment.
    """
    from tidegate.cli.lint.command import lint

    run("lint", lambda: lint(files, output))
