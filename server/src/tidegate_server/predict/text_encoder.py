"""Texts as a graph takes them: which share a run, and which were truncated. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.tensors import Array, string_array


@dataclass(frozen=True)
class TextBatch:
    """Texts that share a run. `positions` are theirs in the request; further rows are padding."""

    positions: tuple[int, ...]
    arrays: dict[str, Array]

    @property
    def rows(self) -> int:
        """Of every array, padding among them."""
        return len(next(iter(self.arrays.values())))


@dataclass(frozen=True)
class EncodedTexts:
    """All texts of a request."""

    batches: tuple[TextBatch, ...]
    truncated: tuple[bool, ...]
    """For each text, whether the model sees only its beginning."""


class TextEncoder(Protocol):
    """Makes a graph's inputs of texts."""

    def encode(self, texts: Sequence[str], *, pad: bool) -> EncodedTexts:
        """`pad`: texts of different lengths may share a run. Raises InvalidRequest for a text without a token."""
        ...


@dataclass(frozen=True)
class StringEncoder:
    """For a graph that takes strings and tokenizes them itself."""

    input: TensorSpec

    def encode(self, texts: Sequence[str], *, pad: bool) -> EncodedTexts:
        """As few runs as the graph's number of rows allows."""
        rows = self.input.shape[0] if self.input.shape[0] > 0 else len(texts)
        batches = tuple(self._batch(start, texts[start : start + rows], rows) for start in range(0, len(texts), rows))
        return EncodedTexts(batches, (False,) * len(texts))

    def _batch(self, start: int, texts: Sequence[str], rows: int) -> TextBatch:
        # A fixed number of rows has to be filled: the last text is repeated, and nobody reads what comes of it.
        filled = [*texts, *[texts[-1]] * (rows - len(texts))]
        shape = (rows, 1) if len(self.input.shape) == 2 else (rows,)
        return TextBatch(tuple(range(start, start + len(texts))), {self.input.name: string_array(filled, shape)})


def string_input(signature: Signature) -> TensorSpec | None:
    """The only input, when it takes one string for each row."""
    if len(signature.inputs) != 1:
        return None
    (only,) = signature.inputs
    rowwise = len(only.shape) == 1 or (len(only.shape) == 2 and only.shape[1] in (-1, 1))
    return only if only.datatype == "BYTES" and rowwise else None
