"""`tidegate version`: this command's, and what runs in the cluster."""

import sys
from importlib.metadata import version as installed

from tidegate.cli.check.in_cluster import operators
from tidegate.cli.common.cluster import open_cluster
from tidegate.cli.common.output import write_line
from tidegate.cli.common.where import Where
from tidegate.errors import ClusterUnavailable


def version(where: Where | None) -> int:
    """Writes them. A cluster that doesn't answer is no failure: the version here is known."""
    write_line(sys.stdout, f"tidegate {installed('tidegate')}")
    if where is None:
        return 0
    try:
        _, found = operators(open_cluster(where))
    except ClusterUnavailable as error:
        write_line(sys.stderr, f"the operator's isn't known: {error}")
        return 0
    for each in found:
        write_line(sys.stdout, f"operator: {each.what}")
    return 0
