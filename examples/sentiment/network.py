"""A small sequence classifier and its training, in numpy alone: embedding, convolution, attention, two classes.

Texts of one length are trained together, so there is no padding, as there is none when the model is served.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Weights = dict[str, Array]

WIDTH = 3  # tokens that the convolution sees at once
DIMENSIONS = 32
FEATURES = 64


@dataclass(frozen=True)
class Recipe:
    epochs: int = 5
    batch: int = 32
    rate: float = 2e-3
    dropout: float = 0.4
    decay: float = 1e-5


@dataclass(frozen=True)
class Batch:
    tokens: Array
    """int64 (texts, length)"""
    targets: Array
    """The wished probability of the second class."""
    importance: Array


def new_weights(tokens: int, generator: np.random.Generator) -> Weights:
    def drawn(*shape: int, scale: float) -> Array:
        return generator.normal(0, scale, shape).astype(np.float32)

    return {
        "embedding": drawn(tokens, DIMENSIONS, scale=0.1),
        "kernel": drawn(WIDTH * DIMENSIONS, FEATURES, scale=(WIDTH * DIMENSIONS) ** -0.5),
        "shift": np.zeros(FEATURES, np.float32),
        "attention": drawn(FEATURES, 1, scale=FEATURES**-0.5),
        "weights": drawn(FEATURES, 2, scale=FEATURES**-0.5),
        "bias": np.zeros(2, np.float32),
    }


def logits(weights: Weights, tokens: Array) -> Array:
    """float32 (texts, 2), as the graph computes them."""
    return _forward(weights, tokens, None)["logits"]


def train(weights: Weights, batches: Sequence[Batch], recipe: Recipe, generator: np.random.Generator) -> None:
    """In place, with Adam; the rate falls to nothing along half a cosine."""
    first = {name: np.zeros_like(value) for name, value in weights.items()}
    second = {name: np.zeros_like(value) for name, value in weights.items()}
    steps = recipe.epochs * len(batches)
    for step, batch in enumerate(_in_any_order(batches, recipe.epochs, generator)):
        rate = recipe.rate * (1 + np.cos(np.pi * step / steps)) / 2
        gradients = _gradients(weights, batch, recipe.dropout, generator)
        for name, gradient in gradients.items():
            first[name] += 0.1 * (gradient - first[name])
            second[name] += 0.001 * (gradient**2 - second[name])
            corrected = first[name] / (1 - 0.9 ** (step + 1))
            spread = np.sqrt(second[name] / (1 - 0.999 ** (step + 1))) + 1e-8
            weights[name] -= (rate * (corrected / spread + recipe.decay * weights[name])).astype(np.float32)


def _in_any_order(batches: Sequence[Batch], epochs: int, generator: np.random.Generator) -> Iterator[Batch]:
    for _ in range(epochs):
        for position in generator.permutation(len(batches)):
            yield batches[position]


def _forward(weights: Weights, tokens: Array, kept: Array | None) -> Weights:
    embedded = weights["embedding"][tokens]
    if kept is not None:
        embedded = embedded * kept
    edges = np.zeros((len(tokens), 1, DIMENSIONS), np.float32)
    padded = np.concatenate([edges, embedded, edges], axis=1)
    length = tokens.shape[1]
    windows = np.concatenate([padded[:, at : at + length] for at in range(WIDTH)], axis=2)
    features = np.maximum(windows @ weights["kernel"] + weights["shift"], 0)
    attention = features @ weights["attention"]
    shares = np.exp(attention - attention.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    pooled = (features * shares).sum(axis=1)
    return {
        "windows": windows,
        "features": features,
        "shares": shares,
        "pooled": pooled,
        "logits": pooled @ weights["weights"] + weights["bias"],
    }


def _gradients(weights: Weights, batch: Batch, dropout: float, generator: np.random.Generator) -> Weights:
    """Of the weighted cross entropy, from the answer back to the embedding."""
    shape = (*batch.tokens.shape, DIMENSIONS)
    kept = (generator.random(shape, np.float32) >= dropout).astype(np.float32) / (1 - dropout)
    seen = _forward(weights, batch.tokens, kept)
    powers = np.exp(seen["logits"] - seen["logits"].max(axis=1, keepdims=True))
    wished = np.stack([1 - batch.targets, batch.targets], axis=1)
    error = (powers / powers.sum(axis=1, keepdims=True) - wished) * batch.importance[:, None] / len(batch.tokens)
    to_pooled = (error @ weights["weights"].T)[:, None, :]
    to_shares = (to_pooled * seen["features"]).sum(axis=2, keepdims=True)
    to_attention = seen["shares"] * (to_shares - (to_shares * seen["shares"]).sum(axis=1, keepdims=True))
    to_features = to_pooled * seen["shares"] + to_attention @ weights["attention"].T
    to_features *= seen["features"] > 0
    to_windows = to_features @ weights["kernel"].T
    return {
        "weights": seen["pooled"].T @ error,
        "bias": error.sum(axis=0),
        "attention": np.einsum("nlf,nlo->fo", seen["features"], to_attention),
        "kernel": seen["windows"].reshape(-1, WIDTH * DIMENSIONS).T @ to_features.reshape(-1, FEATURES),
        "shift": to_features.sum(axis=(0, 1)),
        "embedding": _embedding_gradient(weights["embedding"], batch.tokens, to_windows, kept),
    }


def _embedding_gradient(embedding: Array, tokens: Array, to_windows: Array, kept: Array) -> Array:
    texts, length = tokens.shape
    to_padded = np.zeros((texts, length + WIDTH - 1, DIMENSIONS), np.float32)
    for at in range(WIDTH):
        to_padded[:, at : at + length] += to_windows[:, :, at * DIMENSIONS : (at + 1) * DIMENSIONS]
    gradient = np.zeros_like(embedding)
    np.add.at(gradient, tokens, to_padded[:, 1:-1] * kept)
    return gradient
