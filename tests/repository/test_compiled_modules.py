"""The list of modules that the server's wheel may have compiled."""

import tomllib
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from tidegate_server.inference.warm_up import Findings
from tidegate_server.metrics.snapshot import Snapshot
from tidegate_server.settings import Settings

SERVER = Path(__file__).parents[2] / "server"
HOOK = tomllib.loads((SERVER / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]
MODULES = HOOK["custom"]["modules"]


def test_every_module_is_there() -> None:
    paths = [SERVER / "src" / "tidegate_server" / f"{module.replace('.', '/')}.py" for module in MODULES]
    assert [path for path in paths if not path.is_file()] == []


@pytest.mark.parametrize("sent", [Findings, Snapshot, Settings])
def test_nothing_that_goes_from_one_process_to_another_is_compiled(sent: type) -> None:
    """A class that is compiled can't be pickled."""
    homes = {kind.__module__.removeprefix("tidegate_server.") for kind in classes_in(sent, set())}
    assert homes & set(MODULES) == set()


def classes_in(kind: Any, seen: set[Any]) -> Iterator[type]:
    if kind in seen:
        return
    seen.add(kind)
    if isinstance(kind, type):
        yield kind
    inner = get_type_hints(kind).values() if is_dataclass(kind) else get_args(kind)
    for one in inner:
        yield from classes_in(one, seen)
