"""Puts a model in its place: whole or not at all, and the graph last, since nothing is served without it.

Beside a model of several files lies a record of them. A restarted pod finds by it that everything is there already, and
a later fetch removes what the model before it had and its own doesn't.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tidegate_server.fetch.choose import files_digest
from tidegate_server.fetch.collect import Collected
from tidegate_server.fetch.names import unsafe
from tidegate_server.fetch.parts import disk_failures
from tidegate_server.inference.model import sha256_of
from tidegate_server.onnx_file import why_unsafe


@dataclass(frozen=True)
class Record:
    """`source`: the URI without what may be secret. `digests`: sha256 by name. `verified`: how, or empty."""

    source: str
    resolved: str | None
    digests: dict[str, str]
    verified: str = ""


@dataclass(frozen=True)
class Landed:
    """A model in its place. `digests`: sha256 by name, the graph under its new name; `size`: bytes of all files.

    `single`: its URI names one file, so there can't be more.
    """

    model: Path
    digests: Mapping[str, str]
    size: int
    resolved: str | None = None
    single: bool = False

    @property
    def sha256(self) -> str:
        return self.digests[self.model.name]

    @property
    def files_sha256(self) -> str | None:
        """None for a single file. A folder has it even where it has nothing else, so that nothing is added later."""
        return None if self.single else files_digest(self.digests)


def land(collected: Collected, target: Path, source: str, verified: str) -> Landed:
    """Moves the files. Whatever happens meanwhile, there is no mixture of two models. Raises FetchFailed."""
    landed = describe(collected, target)
    before = read_record(target)
    with disk_failures(target):
        if before or not collected.single:
            target.unlink(missing_ok=True)
        for name in sorted(set(before.digests if before else ()) - set(landed.digests)):
            (target.parent / name).unlink(missing_ok=True)
        _record_place(target).unlink(missing_ok=True)
        for name in sorted(collected.files):
            if name != collected.model:
                _move(collected.folder / name, target.parent / name)
        if not collected.single:
            record = Record(source, collected.resolved, dict(landed.digests), verified)
            _record_place(target).write_text(json.dumps(asdict(record)))
        _move(collected.folder / collected.model, target)
    return landed


def describe(collected: Collected, target: Path) -> Landed:
    """What the files will be once they are in place. Raises FetchFailed for two that would be in one place."""
    for name in collected.files:
        if name != collected.model and (name == target.name or name.startswith(f".{target.name}.")):
            raise unsafe(name, "the model's folder", "its name is needed here")
    digests = {
        target.name if name == collected.model else name: arrived.sha256 for name, arrived in collected.files.items()
    }
    size = sum(arrived.size for arrived in collected.files.values())
    return Landed(target, digests, size, collected.resolved, collected.single)


def read_record(target: Path) -> Record | None:
    """None where a model of one file is, or none."""
    try:
        record = Record(**json.loads(_record_place(target).read_text()))
        names = list(record.digests)
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return record if not any(map(why_unsafe, names)) else None


def landed_before(target: Path, record: Record) -> Landed | None:
    """The model of the record, if every file of it is there and has its digest."""
    size = 0
    for name, sha256 in record.digests.items():
        place = target.parent / name
        if place.is_symlink() or not place.is_file() or sha256_of(place) != sha256:
            return None
        size += place.stat().st_size
    return Landed(target, record.digests, size, record.resolved) if target.name in record.digests else None


def _record_place(target: Path) -> Path:
    return target.parent / f".{target.name}.files.json"


def _move(place: Path, target: Path) -> None:
    """For good: after a power cut the file is there whole, or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    place.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
