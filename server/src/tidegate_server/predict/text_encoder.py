"""Texts as a graph takes them: which share a run, and which were truncated. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from tidegate_server.errors import InvalidRequest
from tidegate_server.protocol.padding import Padding
from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.tensors import Array, Outputs, string_array

Text = str | tuple[str, str]
"""One text, or two that a model compares."""
Prediction = dict[str, Any]
"""What an answer says of one text or one row."""


class TokenizedText(Protocol):
    """A text's tokens, one by one. `offsets` count characters: where each begins, and where it ends."""

    @property
    def ids(self) -> list[int]:
        """Numbers."""
        ...

    @property
    def tokens(self) -> list[str]:
        """Words, or pieces of them."""
        ...

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """In the text."""
        ...

    @property
    def special_tokens_mask(self) -> list[int]:
        """1 for those that aren't the text's own."""
        ...


@dataclass(frozen=True)
class RunSharing:
    """What warming up has shown of a graph's rows."""

    max_rows: int = 1
    """Texts of one run; 1 where each runs alone."""
    padding: Padding | None = None
    """None where only texts of one length share a run."""


ALONE = RunSharing()


class TextBatch(NamedTuple):
    """Texts that share a run. `positions` are theirs in the request; further rows are padding."""

    positions: tuple[int, ...]
    arrays: dict[str, Array]
    pads_left: bool = False
    padding: Padding | None = None
    """How they share it with texts of other requests that are longer."""

    @property
    def rows(self) -> int:
        """Of every array, padding among them."""
        return len(next(iter(self.arrays.values())))

    def own_tokens(self, count: int, width: int) -> slice:
        """Where in a row of `width` tokens the `count` of a text are: the others are padding."""
        begin = width - count if self.pads_left else 0
        return slice(begin, begin + count)


class EncodedTexts(NamedTuple):
    """All texts of a request."""

    batches: tuple[TextBatch, ...]
    truncated: tuple[bool, ...]
    """For each text, whether the model sees only its beginning."""
    tokenized: Sequence[TokenizedText] = ()
    """Each text; none where the graph tokenizes."""

    def count_tokens(self) -> int:
        """Of all texts, without padding; 0 where the graph tokenizes."""
        return sum(len(text.ids) for text in self.tokenized)


class TextEncoder(Protocol):
    """Makes a graph's inputs of texts."""

    @property
    def padding(self) -> Padding | None:
        """How texts would be lengthened; None where all have one length, or the graph tokenizes."""
        ...

    def with_sharing(self, sharing: RunSharing) -> "TextEncoder":
        """The same encoder, for runs of several texts."""
        ...

    def encode(self, texts: Sequence[Text], *, pad: bool) -> EncodedTexts:
        """`pad`: answers don't show the padding of texts of one request that share a run.

        Raises InvalidRequest for a text without a token, and for two texts where the model takes one.
        """
        ...


class TextReader(Protocol):
    """Makes answers of a graph's outputs."""

    @property
    def pads(self) -> bool:
        """Whether texts of different lengths may share a run: whether its answers don't show the padding."""
        ...

    def outputs(self, signature: Signature) -> Sequence[str]:
        """The names of those that it reads."""
        ...

    def predictions(self, outputs: Outputs, batch: TextBatch, texts: EncodedTexts) -> list[Prediction]:
        """One for each text of the batch. Raises NotFiniteOutput, and ModelFailed for outputs of another shape."""
        ...


@dataclass(frozen=True)
class StringEncoder:
    """For a graph that takes strings and tokenizes them itself."""

    input: TensorSpec
    sharing: RunSharing = ALONE

    @property
    def padding(self) -> Padding | None:
        """None: the graph tokenizes."""
        return None

    def with_sharing(self, sharing: RunSharing) -> "StringEncoder":
        """The same encoder, for runs of several texts."""
        return replace(self, sharing=sharing)

    def encode(self, texts: Sequence[Text], *, pad: bool) -> EncodedTexts:
        """As few runs as the graph allows."""
        single = [text for text in texts if isinstance(text, str)]
        if len(single) != len(texts):
            raise one_text_only()
        size, rows = self.sharing.max_rows, max(self.input.shape[0], 1)
        batches = tuple(self._batch(start, single[start : start + size], rows) for start in range(0, len(single), size))
        return EncodedTexts(batches, (False,) * len(texts))

    def _batch(self, start: int, texts: Sequence[str], rows: int) -> TextBatch:
        # A fixed number of rows has to be filled: the last text is repeated, and nobody reads what comes of it.
        filled = [*texts, *[texts[-1]] * (rows - len(texts))]
        shape = (len(filled), 1) if len(self.input.shape) == 2 else (len(filled),)
        return TextBatch(tuple(range(start, start + len(texts))), {self.input.name: string_array(filled, shape)})


def one_text_only() -> InvalidRequest:
    """For a pair of texts that the model has no way to tell apart."""
    return InvalidRequest("text_pair: this model takes one text and not two; leave the field out")


def string_input(signature: Signature) -> TensorSpec | None:
    """The only input, when it takes one string for each row."""
    if len(signature.inputs) != 1:
        return None
    (only,) = signature.inputs
    rowwise = len(only.shape) == 1 or (len(only.shape) == 2 and only.shape[1] in (-1, 1))
    return only if only.datatype == "BYTES" and rowwise else None
