"""What a release is made of: the environment's variables, and those of `release.env` that it doesn't set."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FILE = Path("release.env")
WORK = Path("work")
"""What one stage leaves for the next."""


class Refused(Exception):
    """Why a release goes no further, in one sentence: what, what was wrong with it, what to do."""


@dataclass(frozen=True)
class Settings:
    """The variables by their names, all of them strings."""

    values: Mapping[str, str]

    @classmethod
    def read(cls, file: Path = FILE) -> "Settings":
        """Raises Refused for a line of the file that is none."""
        return cls({**_lines(file), **{name: value for name, value in os.environ.items() if value}})

    def needed(self, name: str, example: str) -> str:
        """Raises Refused where it is missing."""
        if found := self.values.get(name):
            return found
        raise Refused(f"{name} is missing; set it in {FILE} or in the environment, as in {name}={example}")

    def get(self, name: str, otherwise: str = "") -> str:
        """Or what stands for it."""
        return self.values.get(name) or otherwise

    def file(self, name: str, otherwise: str) -> Path:
        """A file that has to be there. Raises Refused."""
        path = Path(self.get(name, otherwise))
        if path.is_file():
            return path
        raise Refused(f"{name}: there is no file {path}; name one in {FILE} or in the environment")


def _lines(file: Path) -> Mapping[str, str]:
    found: dict[str, str] = {}
    if not file.is_file():
        return found
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        text = line.partition(" #")[0].strip()
        if not text or text.startswith("#"):
            continue
        name, separator, value = text.partition("=")
        if not separator or not name.isidentifier():
            raise Refused(f"{file}, line {number}: {text!r} isn't NAME=VALUE; write it so, or put # before it")
        found[name] = value.strip()
    return found
