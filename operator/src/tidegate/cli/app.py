"""The commands for people, and their options. Each imports what it does when chosen, so `--help` waits for nothing."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.common.documents import Output
from tidegate.cli.common.options import (
    AllNamespaces,
    Context,
    Kubeconfig,
    Name,
    Namespace,
    Out,
    Shell,
    model_names,
    run,
)
from tidegate.cli.common.where import Where
from tidegate.cli.control import options as control

COMPLETE = "_TIDEGATE_COMPLETE"
"""Set by a shell that wants to know how a command line may go on."""

app = typer.Typer(
    name="tidegate",
    no_args_is_help=True,
    rich_markup_mode=None,  # rich's help takes as long again to appear
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tidegate {version('tidegate')}")
        raise typer.Exit


@app.callback()
def before_all(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show this command's version.")
    ] = False,
) -> None:
    """Progressive releases of ONNX models on Kubernetes. Also `kubectl tidegate`."""


def main(arguments: Sequence[str], others: Mapping[str, str]) -> int:
    """The exit code of the chosen command. `others` are the commands that read their own options, and their help."""
    for name, summary in others.items():
        sentence = f"{summary[0].upper()}{summary[1:]}."
        app.command(name, help=sentence, short_help=sentence)(_elsewhere)  # else cut off at some 45 characters
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
    version: Annotated[
        str,
        typer.Option("--for", metavar="VERSION", help="Of --wait: what the spec has to mean; a URI or its end."),
    ] = "",
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
        if version and not wait:
            raise Unusable("--for says what to wait for: give --wait too")
        if name is None:
            return command.status_of_all(where, output)
        limit: timedelta = span(timeout)
        if wait:
            return command.wait(where, name, limit, output, version)
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


@app.command(short_help="Say what applying a file would lead to.")
def plan(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="With one ModelDeployment; - for stdin.")],
    offline: Annotated[bool, typer.Option("--offline", help="Don't ask the cluster what is there.")] = False,
    rate: Annotated[
        float | None, typer.Option(metavar="N", help="Requests a second to stable, as they are now.")
    ] = None,
    base_errors: Annotated[str, typer.Option(metavar="SHARE", help="Of stable's answers that fail.")] = "0.5%",
    median: Annotated[str, typer.Option(metavar="SPAN", help="Of stable's latency.")] = "30ms",
    prometheus: Annotated[
        str, typer.Option(metavar="URL", envvar="TIDEGATE_PROMETHEUS_URL", help="To read stable's traffic there.")
    ] = "",
    prometheus_secret: Annotated[
        str, typer.Option(metavar="FOLDER", envvar="TIDEGATE_PROMETHEUS_SECRET", help="With what it asks for.")
    ] = "",
    scrape_interval: Annotated[str, typer.Option(metavar="SPAN", help="Prometheus' own.")] = "15s",
    namespace: Namespace = None,
    output: Out = Output.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Say what will happen: which revision, by which steps, how long, who is exposed, can the traffic decide.

    Exit codes: 0; 1 the traffic can't decide within the deadline, or the file is wrong; 2 the command line is.
    """
    from tidegate.cli.common.parsing import share, span
    from tidegate.cli.plan.command import Planning, Traffic, plan

    def show() -> int:
        where = None if offline else Where(namespace, kubeconfig, context)
        given = Traffic(rate, share(base_errors), span(median).total_seconds()) if rate is not None else None
        return plan(Planning(file, where, given, prometheus, prometheus_secret, span(scrape_interval), output))

    run("plan", show)


@app.command(short_help="What ModelDeployment is that, of KServe's, Argo Rollouts', Flagger's or Seldon's?")
def migrate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="YAML; a folder for all of its files.")],
    model: Annotated[
        str, typer.Option(metavar="URI", help="Where the model is, for kinds that don't say it, or otherwise.")
    ] = "",
) -> None:
    """Write ModelDeployments that say what other tools' resources do; above each, what they don't say, field by field.

    Known are InferenceService, Rollout, Canary, SeldonDeployment and Model. Exit codes: 0 nothing is left out; 1
    something is; 2 a file can't be read, or holds none of these.
    """
    from tidegate.cli.migrate.command import migrate

    run("migrate", lambda: migrate(files, model))


@app.command(short_help="Is everything there that a release needs?")
def check(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Every model, if left out.", autocompletion=model_names)
    ] = None,
    prometheus: Annotated[
        str, typer.Option(metavar="URL", envvar="TIDEGATE_PROMETHEUS_URL", help="To ask it every query of a release.")
    ] = "",
    prometheus_secret: Annotated[
        str, typer.Option(metavar="FOLDER", envvar="TIDEGATE_PROMETHEUS_SECRET", help="With what it asks for.")
    ] = "",
    scrape_interval: Annotated[
        int, typer.Option(metavar="SECONDS", envvar="TIDEGATE_SCRAPE_INTERVAL_SECONDS", min=1, help="Prometheus' own.")
    ] = 15,
    router: Annotated[str, typer.Option(metavar="URL", help="Of the routers' Service, to ask it for an answer.")] = "",
    namespace: Namespace = None,
    all_namespaces: AllNamespaces = False,
    output: Out = Output.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Look at the API server, your rights, the CRD, the operator, the routers, the models, and ask Prometheus.

    Exit codes: 0 nothing is wrong; 1 something is. What can't be seen from here is said, and how to see it.
    """
    from tidegate.cli.check.command import Checking, check

    where = Where(namespace, kubeconfig, context, all_namespaces)
    interval = timedelta(seconds=scrape_interval)
    run("check", lambda: check(Checking(where, name, prometheus, prometheus_secret, interval, output, router)))


@app.command(short_help="What the pods write, whose it is.")
def logs(
    name: Name,
    candidate: Annotated[bool, typer.Option("--candidate", help="Only the candidate's pods.")] = False,
    stable: Annotated[bool, typer.Option("--stable", help="Only stable's pods.")] = False,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as lines come.")] = False,
    tail: Annotated[int | None, typer.Option(metavar="N", min=0, help="The last lines of each pod.")] = None,
    since: Annotated[str, typer.Option(metavar="SPAN", help="Not older, such as 5m.")] = "",
    previous: Annotated[bool, typer.Option("--previous", help="Of the container before its last restart.")] = False,
    container: Annotated[str, typer.Option("-c", "--container", help="`fetch` brings the model.")] = "server",
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Write the logs of stable's and the candidate's pods, each line with whose it is."""
    from tidegate.cli.common.parsing import span
    from tidegate.cli.logs.command import Reading, logs
    from tidegate.view.rollout_view import Role

    def show() -> int:
        role = None if candidate == stable else Role.CANDIDATE if candidate else Role.STABLE
        seconds = int(span(since).total_seconds()) if since else None
        where = Where(namespace, kubeconfig, context)
        return logs(Reading(where, name, role, follow, tail, seconds, previous, container))

    run("logs", show)


@app.command(short_help="This command's and the operator's version.")
def version(
    client: Annotated[bool, typer.Option("--client", help="Don't ask the cluster.")] = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Say which version this is, and which image the operator in the cluster runs."""
    from tidegate.cli.version import version

    run("version", lambda: version(None if client else Where(kubeconfig=kubeconfig, context=context)))


@app.command(short_help="A script for your shell.")
def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh, fish; or kubectl, for its plugin.")],
) -> None:
    """Print what a shell reads to complete commands, options and the names of models.

    As in: source <(tidegate completion bash)
    """
    from tidegate.cli.common.completion import script

    typer.echo(script(shell, COMPLETE))
