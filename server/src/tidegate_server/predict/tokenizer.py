"""Texts to token ids, by the tokenizer.json that lies beside a model.

A text is truncated to the model's length and padded only where padding can't change the model's answer. A tokenizer is
shared by all threads: it is set up once, here, and only read afterwards.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import attrgetter, itemgetter
from typing import Any, Literal

import numpy as np

# The library reads it at its first batch. Each request is cut into tokens by the thread that serves it.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from tokenizers import Encoding, Tokenizer

from tidegate_server.errors import InvalidRequest, one_line
from tidegate_server.predict.package_files import unusable
from tidegate_server.predict.text_encoder import ALONE, EncodedTexts, RunSharing, Text, TextBatch, one_text_only
from tidegate_server.protocol.padding import Padding, bucket
from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.tensors import DTYPES, Array

TOKENIZER_FILE = "tokenizer.json"
MAX_TOKENIZER_BYTES = 64 * 2**20
DEFAULT_MAX_LENGTH = 512  # tokens; what BERT, RoBERTa and most of their kind were trained with
_CHARACTERS_PER_TOKEN = 16  # several times what any language needs
_MASKS = frozenset({"attention_mask", "input_mask", "mask"})
_TYPES = frozenset({"token_type_ids", "segment_ids"})
_PADDING_TOKENS = ("<pad>", "[PAD]", "<|endoftext|>")


@dataclass(frozen=True)
class TokenInputs:
    """Which inputs of the graph take what, and the sizes that the graph has fixed."""

    ids: TensorSpec
    mask: TensorSpec | None
    types: TensorSpec | None
    rows: int | None
    """Texts in every run; None when any number will do."""
    length: int | None
    """Tokens in every row; None when any number will do."""


@dataclass(frozen=True)
class TokenEncoder:
    """A tokenizer that is set up for one graph. It is a TextEncoder."""

    tokenizer: Tokenizer
    inputs: TokenInputs
    pad_id: int
    pad_type_id: int
    pad_side: Literal["left", "right"]
    truncation_side: Literal["left", "right"]
    max_length: int
    keeps_origin: bool = False
    """Whether each token is known by its word and by where it was in the text, which costs time."""
    sharing: RunSharing = ALONE

    def with_sharing(self, sharing: RunSharing) -> "TokenEncoder":
        """The same encoder, for runs of several texts."""
        return replace(self, sharing=sharing)

    @cached_property
    def padding(self) -> Padding | None:
        """None where the graph has fixed the length."""
        if self.inputs.length is not None:
            return None
        fills = {self.inputs.ids.name: self.pad_id}
        fills |= {self.inputs.mask.name: 0} if self.inputs.mask else {}
        fills |= {self.inputs.types.name: self.pad_type_id} if self.inputs.types else {}
        return Padding(fills, on_left=self.pad_side == "left")

    def encode(self, texts: Sequence[Text], *, pad: bool) -> EncodedTexts:
        """As few runs as give each text the answer that it would get alone. Without `pad`, of one length each.

        Raises InvalidRequest for a text that gives no tokens, and for two texts where nothing stands between them.
        """
        if len(texts) == 1 and self._has_free_sizes and isinstance(texts[0], str) and self._prefix(texts[0]) is None:
            return self._encode_one(texts[0])
        if not self.takes_pairs and not all(isinstance(text, str) for text in texts):
            raise one_text_only()
        encodings = self._encodings(texts)
        lengths = [len(encoding) for encoding in encodings]
        if 0 in lengths:
            raise _empty(lengths.index(0) + 1)
        truncated = tuple([bool(encoding.overflowing) for encoding in encodings])
        return EncodedTexts(tuple(self._batches(encodings, lengths, pad)), truncated, encodings)

    def _encode_one(self, text: str) -> EncodedTexts:
        """The same for a text that is read whole. Most requests have one: this is their path."""
        encoding = self._encode_alone(0, text)
        arrays = {name: np.array([values(encoding)], dtype) for name, dtype, values in self._columns}
        if not len(encoding):
            raise _empty(1)
        batch = TextBatch((0,), arrays, self.pad_side == "left", self.sharing.padding)
        return EncodedTexts((batch,), (bool(encoding.overflowing),), (encoding,))

    @cached_property
    def _has_free_sizes(self) -> bool:
        return self.inputs.rows in (None, 1) and self.inputs.length is None

    @cached_property
    def _columns(self) -> tuple[tuple[str, Any, Callable[[Encoding], list[int]]], ...]:
        """Of each input its name, its kind, and what it takes."""
        inputs = self.inputs
        given = ((inputs.ids, "ids"), (inputs.mask, "attention_mask"), (inputs.types, "type_ids"))
        return tuple((spec.name, DTYPES[spec.datatype], attrgetter(field)) for spec, field in given if spec is not None)

    @cached_property
    def takes_pairs(self) -> bool:
        """Whether the tokenizer puts something between two texts."""
        added = self.tokenizer.num_special_tokens_to_add
        return bool(added(is_pair=True) > added(is_pair=False))

    def _encodings(self, texts: Sequence[Text]) -> list[Encoding]:
        """The same tokens from a text's beginning alone, where that will do: the library reads all that it is given."""
        prefixes = {position: prefix for position, text in enumerate(texts) if (prefix := self._prefix(text))}
        if not prefixes:
            return self._encode_all(texts, range(len(texts)))
        shown = [prefixes.get(position, text) for position, text in enumerate(texts)]
        encodings = self._encode_all(shown, range(len(texts)))
        # Words don't change by what comes after them; so what is beyond the model's length tells that enough was read.
        short = [position for position in prefixes if not encodings[position].overflowing]
        whole = self._encode_all([texts[position] for position in short], short) if short else []
        for position, encoding in zip(short, whole, strict=True):
            encodings[position] = encoding
        return encodings

    def _encode_all(self, texts: Sequence[Text], positions: Sequence[int]) -> list[Encoding]:
        """One call for all lets go of Python's lock; `Tokenizer.encode` would keep it, for 100 ms."""
        try:
            return self._encode_batch(texts)
        except Exception:  # noqa: BLE001 - the library's errors share no base but Exception
            return [self._encode_alone(position, text) for position, text in zip(positions, texts, strict=True)]

    def _encode_batch(self, texts: Sequence[Text]) -> list[Encoding]:
        encode = self.tokenizer.encode_batch if self.keeps_origin else self.tokenizer.encode_batch_fast
        encodings: list[Encoding] = encode(texts)
        return encodings

    def _encode_alone(self, position: int, text: Text) -> Encoding:
        try:
            return self._encode_batch([text])[0]
        except Exception as error:  # noqa: BLE001 - the library's errors share no base but Exception
            sentence = f"text {position + 1} can't be cut into the model's tokens ({one_line(error, 300)})"
            raise InvalidRequest(sentence) from None

    def _prefix(self, text: Text) -> Text | None:
        """So much of a long text that the model hardly reads more; None where it can't be cut between two words."""
        max_characters = self.max_length * _CHARACTERS_PER_TOKEN
        if not isinstance(text, str) or len(text) <= max_characters or self.truncation_side == "left":
            return None
        end = text.rfind(" ", 0, max_characters)
        return None if end < 1 or text[end - 1].isspace() else text[:end]

    def _batches(self, encodings: Sequence[Encoding], lengths: Sequence[int], pad: bool) -> Iterator[TextBatch]:
        for positions in self._groups(lengths, pad):
            members = [encodings[position] for position in positions]
            # A graph with a fixed number of rows wants them all: the last text is repeated, and nobody reads that.
            members += members[-1:] * ((self.inputs.rows or 0) - len(members))
            width = self.inputs.length or max([lengths[position] for position in positions])
            on_left = self.pad_side == "left"
            yield TextBatch(tuple(positions), self._arrays(members, width), on_left, self.sharing.padding)

    def _groups(self, lengths: Sequence[int], pad: bool) -> Iterator[list[int]]:
        """Positions of texts that share a run: as long as one another, or nearly where padding changes nothing."""
        size = self.sharing.max_rows
        if size == 1 or len(lengths) == 1:
            yield from ([position] for position in range(len(lengths)))
            return
        together: dict[int, list[int]] = {}
        for position, length in sorted(enumerate(lengths), key=itemgetter(1)):
            together.setdefault(self._kind(length, pad), []).append(position)
        for positions in together.values():
            for start in range(0, len(positions), size):
                yield sorted(positions[start : start + size])

    def _kind(self, length: int, pad: bool) -> int:
        if self.inputs.length is not None:
            return self.inputs.length
        return bucket(length) if pad and self.sharing.padding is not None else length

    def _arrays(self, encodings: Sequence[Encoding], width: int) -> dict[str, Array]:
        ids, mask, types = self.inputs.ids, self.inputs.mask, self.inputs.types
        arrays = {ids.name: self._padded(ids, [encoding.ids for encoding in encodings], width, self.pad_id)}
        if mask is not None:
            arrays[mask.name] = self._padded(mask, [encoding.attention_mask for encoding in encodings], width, 0)
        if types is not None:
            rows = [encoding.type_ids for encoding in encodings]
            arrays[types.name] = self._padded(types, rows, width, self.pad_type_id)
        return arrays

    def _padded(self, spec: TensorSpec, rows: list[list[int]], width: int, pad: int) -> Array:
        if self.pad_side == "left":
            rows = [row if len(row) == width else [pad] * (width - len(row)) + row for row in rows]
        else:
            rows = [row if len(row) == width else row + [pad] * (width - len(row)) for row in rows]
        return np.array(rows, dtype=DTYPES[spec.datatype])


def _empty(number: int) -> InvalidRequest:
    return InvalidRequest(f"text {number} is empty to this model: it has no token in it; give a word")


def open_token_encoder(content: bytes, max_length: int | None, signature: Signature) -> TokenEncoder:
    """`max_length`: from labels.json. Raises ModelRefused for a broken tokenizer or a graph that isn't for text."""
    inputs = token_inputs(signature)
    tokenizer = _tokenizer(content)
    truncation = tokenizer.truncation or {}
    padding = tokenizer.padding or {}
    limits = [max_length or truncation.get("max_length") or DEFAULT_MAX_LENGTH, inputs.length]
    max_length = min(limit for limit in limits if limit)
    tokenizer.no_padding()
    _set_max_length(tokenizer, max_length, truncation.get("direction", "right"))
    return TokenEncoder(
        tokenizer=tokenizer,
        inputs=inputs,
        pad_id=padding.get("pad_id", _padding_token(tokenizer)),
        pad_type_id=padding.get("pad_type_id", 0),
        pad_side="left" if padding.get("direction") == "left" else "right",
        truncation_side="left" if truncation.get("direction") == "left" else "right",
        max_length=max_length,
    )


def token_inputs(signature: Signature) -> TokenInputs:
    """Raises ModelRefused when the graph's inputs aren't those of a text model."""
    by_role: dict[str, list[TensorSpec]] = {"ids": [], "mask": [], "types": []}
    for spec in signature.inputs:
        name = spec.name.lower()
        by_role["mask" if name in _MASKS else "types" if name in _TYPES else "ids"].append(spec)
    ids, masks, types = by_role["ids"], by_role["mask"], by_role["types"]
    if len(ids) != 1 or len(masks) > 1 or len(types) > 1:
        sentence = "it needs one input for token ids, and may have attention_mask and token_type_ids"
        raise _not_a_text_model(sentence, signature)
    given = [*ids, *masks, *types]
    if ids[0].datatype not in ("INT64", "INT32") or any(
        spec.datatype == "BYTES" or len(spec.shape) not in (0, 2) for spec in given
    ):
        raise _not_a_text_model("token ids are INT64 of shape (batch, sequence)", signature)
    rows, length = ids[0].shape or (-1, -1)  # old exporters leave shapes out
    return TokenInputs(
        ids=ids[0],
        mask=next(iter(masks), None),
        types=next(iter(types), None),
        rows=rows if rows > 0 else None,
        length=length if length > 0 else None,
    )


def _not_a_text_model(wanted: str, signature: Signature) -> Exception:
    found = ", ".join(f"{spec.name} {spec.datatype} {list(spec.shape)}" for spec in signature.inputs) or "none"
    sentence = f"the model can't take its tokens: {wanted}; it has {found}. Remove the file or export the model so"
    return unusable(TOKENIZER_FILE, sentence)


def _tokenizer(content: bytes) -> Tokenizer:
    try:
        return Tokenizer.from_buffer(content)
    except Exception as error:  # noqa: BLE001 - the library's errors share no base but Exception
        raise unusable(
            TOKENIZER_FILE,
            f"it isn't a tokenizer that this server's tokenizers library reads ({one_line(error, 300)}); save it anew",
        ) from None


def _set_max_length(tokenizer: Tokenizer, max_length: int, direction: Any) -> None:
    """Sets the length, and tries the tokenizer once: some mistakes show only in use."""
    try:
        tokenizer.enable_truncation(max_length, direction=direction)
        tokenizer.encode("a first text")
    except Exception as error:  # noqa: BLE001 - the library's errors share no base but Exception
        sentence = f"it fails on a text of {max_length} tokens ({one_line(error, 300)}); save it anew"
        raise unusable(TOKENIZER_FILE, sentence) from None


def _padding_token(tokenizer: Tokenizer) -> int:
    known = (tokenizer.token_to_id(token) for token in _PADDING_TOKENS)
    return next((number for number in known if number is not None), 0)
