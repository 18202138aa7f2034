"""A label for each token of a text, such as the names in it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from tidegate_server.predict.classes import Classes
from tidegate_server.predict.text_encoder import EncodedTexts, Prediction, TextBatch, TokenizedText
from tidegate_server.protocol.signature import Signature
from tidegate_server.protocol.tensors import Array, Outputs


@dataclass(frozen=True)
class TokenReader:
    """`classes` have the kind "tokens": scores of shape (rows, tokens, labels)."""

    classes: Classes
    pads = True

    def outputs(self, signature: Signature) -> Sequence[str]:
        """The scores alone."""
        return [self.classes.output]

    def predictions(self, outputs: Outputs, batch: TextBatch, texts: EncodedTexts) -> list[Prediction]:
        """`tokens` of each text, but for those that the tokenizer has added; `start` and `end` count characters.

        Raises NotFiniteOutput, and ModelFailed for an output of another shape.
        """
        array = outputs[self.classes.output]
        if array.ndim != 3 or array.shape[0] != batch.rows or array.shape[2] != len(self.classes.names):
            raise self.classes.misfit(array)
        width = array.shape[1]
        found = []
        for row, position in enumerate(batch.positions):
            text = texts.tokenized[position]
            if len(text.ids) > width:
                raise self.classes.misfit(array)
            found.append({"tokens": self._tokens(text, array[row][batch.own_tokens(len(text.ids), width)])})
        return found

    def _tokens(self, text: TokenizedText, scores: Array) -> list[Prediction]:
        labelled = self.classes.of_scores(self.classes.probabilities(scores))
        each = zip(text.tokens, text.offsets, text.special_tokens_mask, labelled, strict=True)
        return [
            {"token": token, **label, "start": start, "end": end}
            for token, (start, end), added, label in each
            if not added
        ]
