"""`tidegate status`: reads a model and its pods, and shows them: once, live, or until the rollout has ended."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TextIO

from tidegate.cli.common.cluster import Cluster, name_of, open_cluster
from tidegate.cli.common.documents import Output, document
from tidegate.cli.common.errors import NotDone
from tidegate.cli.common.output import wants_colour, write_line
from tidegate.cli.common.where import Where
from tidegate.cli.get.table import Row
from tidegate.cli.status.following import Following, Seen
from tidegate.view.rollout_view import RolloutView, Settled, means

LIVE, FAILED, TIMED_OUT = 0, 1, 124
"""Exit codes of --wait: it is live; it has failed or can't be told; neither within the time, as timeout(1) has it."""
SECOND = 1.0


def status(where: Where, name: str, output: Output) -> int:
    """Shows one model once."""
    cluster = open_cluster(where)
    view, notes = look(cluster, name)
    write_view(view, output, sys.stdout, notes)
    return LIVE


def status_of_all(where: Where, output: Output) -> int:
    """A line and a sentence for each model, without its pods."""
    cluster, out = open_cluster(where), sys.stdout
    if output in (Output.JSON, Output.YAML):
        write_line(out, document(list(cluster.models(lambda each: RolloutView.of(each).to_dict())), output))
    elif output is Output.NAME:
        write_line(out, "\n".join(cluster.models(name_of)))
    else:
        rows = [Row.of(each) for each in cluster.models(lambda each: each)]
        if not rows:
            write_line(sys.stderr, f"there is no ModelDeployment in the namespace {cluster.namespace}")
        for row in rows:
            write_line(
                out, f"{row.namespace}/{row.name}  {' '.join(filter(None, (row.status, row.step)))}\n  {row.message}"
            )
    return LIVE


def look(cluster: Cluster, name: str) -> tuple[RolloutView, list[str]]:
    """The view, and what couldn't be read for it."""
    manifest = cluster.model(name)
    try:
        pods, notes = cluster.pods(name), []
    except NotDone as error:
        pods, notes = [], [str(error)]
    return RolloutView.of(manifest, pods), notes


def write_view(view: RolloutView, output: Output, out: TextIO, notes: list[str]) -> None:
    """As a tree or a document."""
    if output in (Output.JSON, Output.YAML):
        write_line(out, document(view.to_dict(), output))
    elif output is Output.NAME:
        write_line(out, name_of({"metadata": {"name": view.name}}))
    else:
        from tidegate.cli.status.screen import tree_text

        write_line(out, tree_text(view, _now(), out, notes, colour=wants_colour(out)))


def watch(where: Where, name: str) -> int:
    """Shows one model live until Ctrl-C, or until it is deleted."""
    from tidegate.cli.status.screen import LiveTree, PlainTree, can_draw

    cluster = open_cluster(where)
    cluster.model(name)  # what can't be read at all is said at once
    screen = LiveTree() if can_draw(sys.stdout) else PlainTree(sys.stdout)
    with Following(cluster, name) as following, screen:
        while True:
            seen = following.next(SECOND)
            if seen.deleted:
                break
            if seen.model:
                screen.show(RolloutView.of(seen.model, seen.pods.values()), _now(), seen.notes)
    raise NotDone(f"{cluster.namespace}/{name} has been deleted")


def wait(where: Where, name: str, timeout: timedelta, output: Output, version: str = "") -> int:
    """Waits until the newest spec is live or has failed, and first until it means `version`, where one is given.

    Each new sentence goes to stderr, the outcome to stdout.
    """
    cluster = open_cluster(where)
    cluster.model(name)
    told = ""

    def tell(view: RolloutView) -> None:
        nonlocal told
        if view.message and view.message != told:
            told = view.message
            write_line(sys.stderr, f"{_now():%H:%M:%S} {view.phase} {view.progress}: {view.message}".replace(" :", ":"))

    view = settled(cluster, name, monotonic() + timeout.total_seconds(), tell, version)
    write_outcome(view, output, sys.stdout)
    ended = view.settled_at(version)
    if ended is Settled.UNDER_WAY:
        write_line(
            sys.stderr, f"tidegate status: {cluster.namespace}/{name} {still(view, version)} after the --timeout"
        )
        return TIMED_OUT
    return LIVE if ended is Settled.LIVE else FAILED


def still(view: RolloutView, version: str) -> str:
    """What is to be said of one that hasn't settled."""
    if not version or means(view.meant, version):
        return "is still under way"
    return f"doesn't mean {version} yet, but {view.meant or 'nothing that is known'},"


def settled(
    cluster: Cluster, name: str, until: float, tell: Callable[[RolloutView], None], version: str = ""
) -> RolloutView:
    """What is known when the model has settled, or else at the end of the time. Raises NotDone where it is deleted."""
    view: RolloutView | None = None
    with Following(cluster, name) as following:
        while (left := until - monotonic()) > 0:
            seen = following.next(min(SECOND, left))
            if seen.deleted:
                raise NotDone(f"{cluster.namespace}/{name} has been deleted")
            view = _newer(seen, view, tell)
            if view and view.settled_at(version) is not Settled.UNDER_WAY:
                return view
    return view or RolloutView.of(cluster.model(name))


def _newer(seen: Seen, before: RolloutView | None, tell: Callable[[RolloutView], None]) -> RolloutView | None:
    if seen.model is None:
        return before
    view = RolloutView.of(seen.model)
    tell(view)
    return view


def write_outcome(view: RolloutView, output: Output, out: TextIO) -> None:
    """One line, or the whole as a document."""
    if output in (Output.TABLE, Output.WIDE):
        write_line(out, f"{view.namespace}/{view.name} {view.phase}: {view.message}")
    else:
        write_view(view, output, out, [])


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the one clock read
