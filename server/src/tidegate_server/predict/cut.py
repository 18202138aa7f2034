"""Texts as a graph takes them: which go through it together, and whether one was too long. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.tensors import Array, strings


@dataclass(frozen=True)
class Run:
    """Texts that go through the graph together. `positions` are theirs in the request; more rows are filling."""

    positions: tuple[int, ...]
    arrays: dict[str, Array]

    @property
    def rows(self) -> int:
        return len(next(iter(self.arrays.values())))


@dataclass(frozen=True)
class Cut:
    runs: tuple[Run, ...]
    shortened: tuple[bool, ...]
    """For each text, whether the model sees only its beginning."""


class Cutter(Protocol):
    def cut(self, texts: Sequence[str], *, pad: bool) -> Cut:
        """Raises InvalidRequest for a text that gives nothing to run on."""
        ...


@dataclass(frozen=True)
class Strings:
    """For a graph that takes strings and cuts them itself."""

    input: TensorSpec

    def cut(self, texts: Sequence[str], *, pad: bool) -> Cut:
        rows = self.input.shape[0] if self.input.shape[0] > 0 else len(texts)
        runs = tuple(self._run(start, texts[start : start + rows], rows) for start in range(0, len(texts), rows))
        return Cut(runs, (False,) * len(texts))

    def _run(self, start: int, texts: Sequence[str], rows: int) -> Run:
        # A fixed number of rows has to be filled: the last text is repeated, and nobody reads what comes of it.
        filled = [*texts, *[texts[-1]] * (rows - len(texts))]
        shape = (rows, 1) if len(self.input.shape) == 2 else (rows,)
        return Run(tuple(range(start, start + len(texts))), {self.input.name: strings(filled, shape)})


def string_input(signature: Signature) -> TensorSpec | None:
    """The only input, when it takes one string for each row."""
    if len(signature.inputs) != 1:
        return None
    (only,) = signature.inputs
    rowwise = len(only.shape) == 1 or (len(only.shape) == 2 and only.shape[1] in (-1, 1))
    return only if only.datatype == "BYTES" and rowwise else None
