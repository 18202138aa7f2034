"""The controls' options. Each command imports what it does when it is chosen."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.common.documents import Output
from tidegate.cli.common.options import Context, Kubeconfig, Name, Namespace, Out, run
from tidegate.cli.common.where import Where

if TYPE_CHECKING:
    from tidegate.cli.control.command import Asking

Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; it is told with who you are.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Don't wait for the operator's answer.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be asked for, and how kubectl would.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for name, summary, call in (
        ("pause", "Take no further step.", _pause),
        ("resume", "Go on after a pause.", _resume),
        ("approve", "Approve the step that waits.", _control),
        ("skip", "Don't wait for a step's time.", _control),
        ("abort", "All requests to stable, now.", _control),
        ("retry", "Try what was rolled back again.", _control),
        ("restart", "Replace stable's pods.", _control),
    ):
        app.command(name, help=summary)(_command(name, call))
    app.command(help="To the next step, without a verdict.")(promote)
    app.command(help="Back to an older revision.")(undo)


def _command(command: str, call: "Callable[[str, Asking], int]") -> Callable[..., None]:
    def ask(
        name: Name,
        reason: Reason = "",
        no_wait: NoWait = False,
        dry_run: DryRun = False,
        namespace: Namespace = None,
        output: Out = Output.TABLE,
        kubeconfig: Kubeconfig = None,
        context: Context = None,
    ) -> None:
        from tidegate.cli.control.command import Asking

        asking = Asking(Where(namespace, kubeconfig, context), name, reason, not no_wait, dry_run, output)
        run(command, lambda: call(command, asking))

    return ask


def _pause(_: str, asking: "Asking") -> int:
    from tidegate.cli.control.command import pause

    return pause(asking, paused=True)


def _resume(_: str, asking: "Asking") -> int:
    from tidegate.cli.control.command import pause

    return pause(asking, paused=False)


def _control(which: str, asking: "Asking") -> int:
    from tidegate.cli.control.command import control
    from tidegate.model.control import Control

    return control(asking, Control(which))


def promote(
    name: Name,
    full: Annotated[bool, typer.Option("--full", help="All requests, and the end of the rollout.")] = False,
    reason: Reason = "",
    no_wait: NoWait = False,
    dry_run: DryRun = False,
    namespace: Namespace = None,
    output: Out = Output.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Goes on without a verdict."""
    from tidegate.cli.control.command import Asking

    asking = Asking(Where(namespace, kubeconfig, context), name, reason, not no_wait, dry_run, output)
    run("promote", lambda: _control("promote-full" if full else "promote", asking))


def undo(
    name: Name,
    to: Annotated[
        str | None, typer.Option("--to-revision", metavar="REVISION", help="Name or number, as `history` has them.")
    ] = None,
    reason: Reason = "",
    no_wait: NoWait = False,
    dry_run: DryRun = False,
    namespace: Namespace = None,
    output: Out = Output.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Writes an older revision's model and server into the spec."""
    from tidegate.cli.control import command

    asking = command.Asking(Where(namespace, kubeconfig, context), name, reason, not no_wait, dry_run, output)
    run("undo", lambda: command.undo(asking, to))
