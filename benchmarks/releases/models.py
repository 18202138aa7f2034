"""The models that are released: three of the demo's, and twins that differ in nothing but their bytes."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from tidegate_demo import models as demo

GOOD, FAILING, SLOW, TWIN_A, TWIN_B = "good", "failing", "slow", "twin-a", "twin-b"
OF_THE_DEMO = {GOOD: "v2", FAILING: "v3", SLOW: "v4"}
TWINS = (TWIN_A, TWIN_B)

Answers = tuple[int | None, ...]


@dataclass(frozen=True)
class Model:
    """`answers[i]` is the digit for held-out image i, or None where the model itself fails."""

    name: str
    path: Path
    sha256: str
    answers: Answers


@dataclass(frozen=True)
class Models:
    """Everything that is released, by name, and the held-out images that may be sent."""

    by_name: Mapping[str, Model]
    images: tuple[tuple[float, ...], ...]


def prepare(demo_folder: Path, folder: Path, say: Callable[[str], None] = lambda line: None) -> Models:
    """The demo's models, made in `demo_folder` if they aren't there yet, and the twins in `folder`."""
    return released(demo.prepare(demo_folder, say), folder)


def released(prepared: demo.Models, folder: Path) -> Models:
    """The demo's models that are released, and twins of the one that fails, written to `folder`."""
    made = {name: _of_the_demo(name, prepared.versions[version]) for name, version in OF_THE_DEMO.items()}
    folder.mkdir(parents=True, exist_ok=True)
    made |= {name: _written(name, made[FAILING], folder) for name in TWINS}
    return Models(made, prepared.images)


def twin(content: bytes, name: str) -> bytes:
    """The same graph under another digest, as a model has after it was trained again to the same end."""
    model = onnx.load_model_from_string(content)
    model.doc_string = name
    return bytes(model.SerializeToString(deterministic=True))


def _of_the_demo(name: str, model: demo.DemoModel) -> Model:
    return Model(name, model.path, model.sha256, model.answers)


def _written(name: str, original: Model, folder: Path) -> Model:
    content = twin(original.path.read_bytes(), name)
    path = folder / f"digits-{name}.onnx"
    path.write_bytes(content)
    return Model(name, path, hashlib.sha256(content).hexdigest(), original.answers)
