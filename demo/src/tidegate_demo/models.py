"""Trains the demo's six models and keeps them as ONNX files. The same files every time on one machine.

v1 is modest, v2 better, v3 and v4 are v2 with a mistake in the graph, v5 and v6 are good again.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx import ModelProto
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from tidegate_demo import digits, graphs
from tidegate_demo.digits import Digits, Images

VERSIONS = ("v1", "v2", "v3", "v4", "v5", "v6")
FEW_IMAGES = 200
TABLE_QUANTILE = 0.8  # v3's table was made for all but the darkest fifth of the training images
SLOWNESS_SECONDS = 0.1
TRIAL_ROUNDS = 20_000


@dataclass(frozen=True)
class DemoModel:
    """One version: where its file is, what it is worth on the held-out images, and what it answers for each of them.

    `answers[i]` is the digit for held-out image i, or None where the model itself fails.
    """

    version: str
    about: str
    path: Path
    sha256: str
    accuracy: float
    failing: float
    answers: tuple[int | None, ...]


@dataclass(frozen=True)
class Models:
    """All versions, and the held-out images ([n][64] numbers) with their true digits."""

    versions: dict[str, DemoModel]
    images: tuple[tuple[float, ...], ...]
    labels: tuple[int, ...]


def prepare(folder: Path, say: Callable[[str], None] = lambda line: None) -> Models:
    """The models in `folder`, trained when they aren't there yet (a few seconds) or when their making has changed."""
    folder.mkdir(parents=True, exist_ok=True)
    data = digits.load()
    kept = _read_kept(folder)
    if kept is None:
        say("training six models on handwritten digits")
        _keep(folder, _build_all(data, folder))
        kept = _read_kept(folder)
    if kept is None:
        raise RuntimeError(f"{folder} does not keep what is written to it")
    images = tuple(tuple(float(pixel) for pixel in image) for image in data.held_out_images)
    return Models(kept, images, tuple(int(label) for label in data.held_out_labels))


def describe(model: DemoModel) -> str:
    failing = f", fails on {model.failing:.1%}" if model.failing else ""
    return f"{model.version}  {model.accuracy:.1%} right{failing}  sha256 {model.sha256[:12]}  {model.about}"


def answers(model_bytes: bytes, images: Images) -> tuple[int | None, ...]:
    """What the model says for each image; None where onnxruntime fails on it.

    All at once first: one by one, a slow model would take a minute. A failing image fails its whole batch.
    """
    session = quiet_session(model_bytes)
    together = _answer(session, images)
    if together is not None:
        return tuple(together)
    return tuple(None if label is None else label[0] for label in (_answer(session, image[None]) for image in images))


def quiet_session(model_bytes: bytes) -> Any:
    """One thread, and errors only as exceptions."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model_bytes, options, providers=["CPUExecutionProvider"])


def _answer(session: Any, images: Images) -> list[int] | None:
    try:
        return [int(label) for label in session.run(["label"], {"pixels": images})[0]]
    except Exception as error:
        # onnxruntime's exceptions share no base class of their own.
        if "indices element out of data bounds" not in str(error):
            raise
        return None


# --- making -----------------------------------------------------------------------------------------------------------


def _build_all(data: Digits, folder: Path) -> dict[str, tuple[str, bytes]]:
    few = data.train_images[:FEW_IMAGES], data.train_labels[:FEW_IMAGES]
    everything = data.train_images, data.train_labels
    good = _trained(_network((128,), seed=3), *everything)
    faulty = graphs.with_calibration_table(good, _temperatures(data.train_images))
    slow = graphs.with_relaxation(good, rounds_for(good, SLOWNESS_SECONDS, folder))
    made = {
        "v1": (f"logistic regression on {FEW_IMAGES} images", _trained(LogisticRegression(max_iter=2000), *few)),
        "v2": ("a neural network on all training images", good),
        "v3": ("v2 with a calibration table that is too short", faulty),
        "v4": ("v2 with a loop that goes on for too long", slow),
        "v5": ("a smaller network", _trained(_network((96,), seed=2), *everything)),
        "v6": ("a deeper network", _trained(_network((64, 48), seed=4), *everything)),
    }
    return {name: (about, model.SerializeToString(deterministic=True)) for name, (about, model) in made.items()}


def _network(hidden: tuple[int, ...], seed: int) -> MLPClassifier:
    return MLPClassifier(hidden, random_state=seed, max_iter=600, alpha=0.01)


def _trained(classifier: Any, images: Images, labels: digits.Labels) -> ModelProto:
    return graphs.from_classifier(make_pipeline(MinMaxScaler((0, 1)), classifier).fit(images, labels))


def _temperatures(images: Images) -> np.ndarray:
    """One temperature per bin of ink, up to the quantile that its maker thought was enough."""
    bins = int(np.quantile(images.sum(axis=1), TABLE_QUANTILE) // graphs.INK_PER_BIN) + 1
    return np.linspace(0.9, 1.1, bins)


def rounds_for(plain: ModelProto, seconds: float, folder: Path) -> int:
    """How many rounds take that much CPU time here. Measured once and kept, so that v4's digest stays the same."""
    kept = folder / "rounds"
    if kept.exists():
        return int(kept.read_text())
    session = quiet_session(graphs.with_relaxation(plain, TRIAL_ROUNDS).SerializeToString())
    best = min(_cpu_seconds(session) for _ in range(10))
    rounds = round(TRIAL_ROUNDS * seconds / best, -3)
    kept.write_text(f"{rounds:.0f}")
    return int(rounds)


def _cpu_seconds(session: Any) -> float:
    """CPU time, not wall time: a machine that is busy with a cluster would make the model look slow already."""
    started = time.thread_time()
    session.run(None, {"pixels": np.zeros((1, digits.PIXELS), np.float32)})
    return time.thread_time() - started


# --- keeping ----------------------------------------------------------------------------------------------------------


def _recipe() -> str:
    """Changes whenever the models could: this code, and the libraries that train and convert."""
    sources = "".join(inspect.getsource(module) for module in (digits, graphs)) + Path(__file__).read_text()
    libraries = " ".join(version(name) for name in ("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "numpy"))
    return hashlib.sha256(f"{sources}{libraries}".encode()).hexdigest()


def _keep(folder: Path, made: dict[str, tuple[str, bytes]]) -> None:
    data = digits.load()
    kept: list[dict[str, Any]] = []
    for name, (about, content) in made.items():
        path = folder / f"digits-{name}.onnx"
        _write(path, content)
        said = answers(content, data.held_out_images)
        right = sum(label == truth for label, truth in zip(said, data.held_out_labels, strict=True))
        model = DemoModel(
            name,
            about,
            path,
            hashlib.sha256(content).hexdigest(),
            accuracy=right / max(1, len(said) - said.count(None)),
            failing=said.count(None) / len(said),
            answers=said,
        )
        kept.append(asdict(model) | {"path": path.name})
    _write(folder / "models.json", json.dumps({"recipe": _recipe(), "models": kept}).encode())


def _read_kept(folder: Path) -> dict[str, DemoModel] | None:
    try:
        kept = json.loads((folder / "models.json").read_text())
        if kept["recipe"] != _recipe():
            return None
        models = [_read_model(folder, model) for model in kept["models"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    whole = all(hashlib.sha256(model.path.read_bytes()).hexdigest() == model.sha256 for model in models)
    return {model.version: model for model in models} if whole else None


def _read_model(folder: Path, kept: dict[str, Any]) -> DemoModel:
    return DemoModel(**kept | {"path": folder / kept["path"], "answers": tuple(kept["answers"])})


def _write(path: Path, content: bytes) -> None:
    """By rename: a reader never sees half a model."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)
