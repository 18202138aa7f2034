"""Installs a model at its path: whole or not at all, and the graph last, since nothing is served without it.

Beside a model of several files lies a record of them. A restarted pod finds by it that everything is there already, and
a later fetch removes what the model before it had and its own doesn't.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tidegate_server.fetch.collect import CollectedModel
from tidegate_server.fetch.partial_downloads import disk_failures
from tidegate_server.fetch.safe_names import unsafe
from tidegate_server.fetch.select_files import files_digest
from tidegate_server.inference.model import sha256_of
from tidegate_server.onnx_file import why_unsafe


@dataclass(frozen=True)
class InstallRecord:
    """Of a model of several files. `source`: the URI without what may be secret. `verified`: the signer, or empty."""

    source: str
    resolved: str | None
    digests: dict[str, str]
    """The files' sha256 by name."""
    verified: str = ""


@dataclass(frozen=True)
class InstalledModel:
    """A model at its path. `digests`: sha256 by name, the graph under its new name; `size`: bytes of all files.

    `single`: its URI names one file, so there can't be more.
    """

    model: Path
    digests: Mapping[str, str]
    size: int
    resolved: str | None = None
    single: bool = False

    @property
    def sha256(self) -> str:
        """Of the graph."""
        return self.digests[self.model.name]

    @property
    def files_sha256(self) -> str | None:
        """None for a single file. A folder has it even where it has nothing else, so that nothing is added later."""
        return None if self.single else files_digest(self.digests)


def install(collected: CollectedModel, target: Path, source: str, verified: str) -> InstalledModel:
    """Moves the files. Whatever happens meanwhile, there is no mixture of two models. Raises FetchFailed."""
    installed = describe(collected, target)
    before = read_record(target)
    with disk_failures(target):
        if before or not collected.single:
            target.unlink(missing_ok=True)
        for name in sorted(set(before.digests if before else ()) - set(installed.digests)):
            (target.parent / name).unlink(missing_ok=True)
        _record_path(target).unlink(missing_ok=True)
        for name in sorted(collected.files):
            if name != collected.model:
                _move(collected.folder / name, target.parent / name)
        if not collected.single:
            record = InstallRecord(source, collected.resolved, dict(installed.digests), verified)
            _record_path(target).write_text(json.dumps(asdict(record)))
        _move(collected.folder / collected.model, target)
    return installed


def describe(collected: CollectedModel, target: Path) -> InstalledModel:
    """What will be installed. Raises FetchFailed for two files with one path."""
    for name in collected.files:
        if name != collected.model and (name == target.name or name.startswith(f".{target.name}.")):
            raise unsafe(name, "the model's folder", "its name is needed here")
    digests = {
        target.name if name == collected.model else name: local_file.sha256
        for name, local_file in collected.files.items()
    }
    size = sum(local_file.size for local_file in collected.files.values())
    return InstalledModel(target, digests, size, collected.resolved, collected.single)


def read_record(target: Path) -> InstallRecord | None:
    """None where there is a model of one file, or none."""
    try:
        record = InstallRecord(**json.loads(_record_path(target).read_text()))
        names = list(record.digests)
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return record if not any(map(why_unsafe, names)) else None


def find_installed(target: Path, record: InstallRecord) -> InstalledModel | None:
    """The model of the record, if every file of it is there and has its digest."""
    size = 0
    for name, sha256 in record.digests.items():
        path = target.parent / name
        if path.is_symlink() or not path.is_file() or sha256_of(path) != sha256:
            return None
        size += path.stat().st_size
    return InstalledModel(target, record.digests, size, record.resolved) if target.name in record.digests else None


def _record_path(target: Path) -> Path:
    return target.parent / f".{target.name}.files.json"


def _move(path: Path, target: Path) -> None:
    """For good: after a power cut the file is there whole, or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    path.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
