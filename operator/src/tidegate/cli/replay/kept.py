"""Where the record of a rollout is: in the cluster, or in a file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tidegate.cli.common.errors import CannotReplay, Unusable
from tidegate.cli.common.output import write_file
from tidegate.cli.replay.recorded import Recorded
from tidegate.resources.names import RECORD_KEY, checkpoint_name, record_name

ConfigMaps = Callable[[str], Mapping[str, Any] | None]
"""A ConfigMap of the namespace by its name, or None. Raises ClusterUnavailable."""
LARGEST = 16 * 2**20
"""Bytes of a file that is read: many times what is ever kept."""


def kept_record(recorded: Recorded, config_map: ConfigMaps) -> str:
    """The record that the operator keeps of a rollout; '' where there is none. Raises ClusterUnavailable."""
    names = [record_name(recorded.candidate, recorded.started_at), checkpoint_name(recorded.candidate)]
    for name in names[recorded.outcome is None :]:
        if found := config_map(name):
            return str((found.get("data") or {}).get(RECORD_KEY, ""))
    return ""


def read_record(path: Path) -> str:
    """The text of a file. Raises Unusable where it can't be read."""
    try:
        if path.stat().st_size > LARGEST:
            raise Unusable(f"{path} can't be a record: it is larger than {LARGEST} bytes")
        return path.read_text()
    except (OSError, ValueError) as error:
        raise Unusable(f"{path} can't be read: {error}") from error


def export_record(text: str, path: Path) -> None:
    """Saves a record. Raises CannotReplay where there is none, Unusable where the file can't be written."""
    if not text:
        raise CannotReplay("there is no record to export: the operator keeps those of the last three rollouts")
    write_file(path, text + "\n")
