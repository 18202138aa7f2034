"""`tidegate history`: reads a model and its ControllerRevisions."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tidegate.cli.common.cluster import open_cluster
from tidegate.cli.common.documents import Output, document
from tidegate.cli.common.output import wants_colour, write_line
from tidegate.cli.common.where import Where
from tidegate.cli.history.tables import text_of
from tidegate.view.rollout_view import RolloutView


def history(where: Where, name: str, output: Output) -> int:
    """Writes them; the exit code."""
    cluster = open_cluster(where)
    view = RolloutView.of(cluster.model(name))
    revisions = cluster.revisions(name)
    if output in (Output.JSON, Output.YAML):
        write_line(sys.stdout, document(_document(view, revisions), output))
    elif output is Output.NAME:
        write_line(sys.stdout, "\n".join(f"controllerrevision.apps/{each['metadata']['name']}" for each in revisions))
    else:
        now = datetime.now(UTC)  # noqa: TID251 - the one clock read
        write_line(sys.stdout, text_of(view, revisions, now, colour=wants_colour(sys.stdout)))
    return 0


def _document(view: RolloutView, revisions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    kept = [
        {"revision": each.get("revision"), "name": each["metadata"]["name"], "snapshot": each.get("data")}
        for each in revisions
    ]
    return {"revisions": kept, "rollouts": view.to_dict()["history"]}
