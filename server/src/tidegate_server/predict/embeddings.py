"""From a model's numbers for each token to one vector for a text, as sentence-transformers does it. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from tidegate_server.errors import ModelFailed
from tidegate_server.predict.text_encoder import EncodedTexts, Prediction, TextBatch
from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.tensors import Array, Outputs, require_finite

PoolingMode = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
"""In the order in which the vectors of several are joined."""
POOLING_MODES: tuple[PoolingMode, ...] = get_args(PoolingMode)
SENTENCE_OUTPUT = "sentence_embedding"
"""What exporters call the vector of a whole text."""
_SMALLEST_LENGTH = 1e-12  # a vector of zeros stays one


@dataclass(frozen=True)
class EmbeddingReader:
    """One vector for each text. `modes` are none where the output has one already."""

    output: str
    modes: tuple[PoolingMode, ...] = ()
    normalize: bool = False
    pads = True

    def outputs(self, signature: Signature) -> Sequence[str]:
        """The vectors alone."""
        return [self.output]

    def predictions(self, outputs: Outputs, batch: TextBatch, texts: EncodedTexts) -> list[Prediction]:
        """`embedding` of each text, FP32. Raises NotFiniteOutput, and ModelFailed for an output of another shape."""
        array = outputs[self.output]
        if array.ndim != (3 if self.modes else 2) or array.shape[0] != batch.rows:
            raise ModelFailed(f"output {self.output} has shape {list(array.shape)} for {batch.rows} texts")
        require_finite(self.output, array)
        return [
            {"embedding": self._vector(array[row], batch, texts, position)}
            for row, position in enumerate(batch.positions)
        ]

    def _vector(self, row: Array, batch: TextBatch, texts: EncodedTexts, position: int) -> Array:
        vector = row.astype(np.float64)
        if self.modes:
            count, width = len(texts.tokenized[position].ids), len(row)
            if count > width:
                raise ModelFailed(f"output {self.output} has {width} tokens for a text of {count}")
            tokens = vector[batch.own_tokens(count, width)]
            vector = np.concatenate([_POOL[mode](tokens) for mode in self.modes])
        if self.normalize:
            vector = vector / max(float(np.linalg.norm(vector)), _SMALLEST_LENGTH)
        return vector.astype(np.float32)


def _weighted_mean(tokens: Array) -> Array:
    weights = np.arange(1, len(tokens) + 1)
    mean: Array = weights @ tokens / weights.sum()
    return mean


_POOL: Mapping[PoolingMode, Callable[[Array], Array]] = {
    "cls": lambda tokens: tokens[0],
    "max": lambda tokens: tokens.max(axis=0),
    "mean": lambda tokens: tokens.mean(axis=0),
    "mean_sqrt_len_tokens": lambda tokens: tokens.sum(axis=0) / np.sqrt(len(tokens)),
    "weightedmean": _weighted_mean,
    "lasttoken": lambda tokens: tokens[-1],
}


def sentence_output(signature: Signature) -> TensorSpec | None:
    """The output that has one vector for each text by its name; None where there is none."""
    spec = signature.output(SENTENCE_OUTPUT)
    return spec if spec is not None and _is_float(spec, 2) else None


def token_output(signature: Signature) -> TensorSpec | None:
    """The output that has a vector for each token: the only one, or the first of the names that exporters use."""
    fitting = [spec for spec in signature.outputs if _is_float(spec, 3)]
    named = [spec for spec in fitting if spec.name in ("token_embeddings", "last_hidden_state")]
    return next(iter(named or (fitting if len(fitting) == 1 else [])), None)


def _is_float(spec: TensorSpec, dimensions: int) -> bool:
    return spec.datatype.startswith("FP") and len(spec.shape) == dimensions
