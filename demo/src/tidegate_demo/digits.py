"""The demo's data: scikit-learn's 1,797 handwritten digits, split once and for all. Real images, 8x8, ink 0..16.

Train and held-out never overlap, so that every accuracy the demo prints is about images no model has seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

PIXELS = 64
CLASSES = 10
HELD_OUT_SHARE = 0.4
SPLIT_SEED = 1797

Images = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Digits:
    """Images are [n, 64] float32 with ink 0..16; labels are [n] int64, 0..9."""

    train_images: Images
    train_labels: Labels
    held_out_images: Images
    held_out_labels: Labels


def load() -> Digits:
    """The fixed split: 1,078 images to train on and 719 held out, every digit in the same share of both."""
    images, labels = load_digits(return_X_y=True)
    parts: list[Any] = train_test_split(
        images.astype(np.float32),
        labels.astype(np.int64),
        test_size=HELD_OUT_SHARE,
        random_state=SPLIT_SEED,
        stratify=labels,
    )
    train_images, held_out_images, train_labels, held_out_labels = parts
    return Digits(train_images, train_labels, held_out_images, held_out_labels)
