"""`tidegate get`: reads the models, and writes them as kubectl would."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TextIO

from tidegate.cli.common.cluster import Cluster, name_of, open_cluster
from tidegate.cli.common.documents import Output, document
from tidegate.cli.common.output import wants_colour, write_line
from tidegate.cli.common.where import Where
from tidegate.cli.get.table import Row, table
from tidegate.kube.api import Manifest


def get(where: Where, names: Sequence[str], output: Output) -> int:
    """The exit code; what can't be read raises a TidegateError."""
    cluster = open_cluster(where)
    write(cluster, names, output, sys.stdout, sys.stderr)
    return 0


def write(cluster: Cluster, names: Sequence[str], output: Output, out: TextIO, err: TextIO) -> None:
    """Writes the models of these names, or all of them."""
    if output in (Output.JSON, Output.YAML):
        write_line(out, document(_whole(cluster, names), output))
    elif output is Output.NAME:
        for name in sorted(map(name_of, map(cluster.model, names)) if names else cluster.models(name_of)):
            write_line(out, name)
    else:
        rows = [Row.of(cluster.model(name)) for name in names] if names else list(cluster.models(Row.of))
        _write_table(cluster, rows, output, out, err)


def _write_table(cluster: Cluster, rows: Sequence[Row], output: Output, out: TextIO, err: TextIO) -> None:
    if not rows:
        place = "in the cluster" if cluster.all_namespaces else f"in the namespace {cluster.namespace}"
        write_line(err, f"there is no ModelDeployment {place}")
        return
    now = datetime.now(UTC)  # noqa: TID251 - the one clock read
    wide, colour = output is Output.WIDE, wants_colour(out)
    lines = table(rows, now, namespaces=cluster.all_namespaces, wide=wide, colour=colour)
    write_line(out, "\n".join(lines))


def _whole(cluster: Cluster, names: Sequence[str]) -> Manifest:
    """One object, or a List of them, without what only the API server's bookkeeping needs."""
    found = [_plain(cluster.model(name)) for name in names] if names else list(cluster.models(_plain))
    if len(names) == 1:
        return found[0]
    return {"apiVersion": "v1", "kind": "List", "items": found}


def _plain(manifest: Manifest) -> Manifest:
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "managedFields"}
    return {**manifest, "metadata": metadata}
