"""What the tests of the releases share: a small model and a lookalike of it, ready to be asked."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from benchmarks.releases.models import Models, released
from tidegate_demo import digits, graphs
from tidegate_demo import models as demo


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Models that fail and loop as the demo's do, without the minute that it takes to train the demo's."""
    folder, data = tmp_path_factory.mktemp("models"), digits.load()
    few = data.train_images[:200], data.train_labels[:200]
    plain = graphs.from_classifier(make_pipeline(MinMaxScaler((0, 1)), LogisticRegression()).fit(*few))
    table = np.ones(int(np.quantile(data.train_images.sum(axis=1), 0.8) // graphs.INK_PER_BIN) + 1)
    made = {
        "v2": plain,
        "v3": graphs.with_calibration_table(plain, table),
        "v4": graphs.with_relaxation(plain, 10),
    }
    versions = {version: _written(version, model, folder, data) for version, model in made.items()}
    images = tuple(tuple(map(float, image)) for image in data.held_out_images)
    return released(demo.Models(versions, images, ()), folder / "twins")


def _written(version: str, model: ModelProto, folder: Path, data: digits.Digits) -> demo.DemoModel:
    path, content = folder / f"digits-{version}.onnx", model.SerializeToString(deterministic=True)
    path.write_bytes(content)
    said = demo.answers(content, data.held_out_images)
    return demo.DemoModel(version, "", path, hashlib.sha256(content).hexdigest(), 1.0, 0.0, said)
