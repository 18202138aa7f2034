"""How the benchmark itself opens a model: as the limit against which every server is measured."""

import os
from pathlib import Path
from typing import Any

# The runtime reads it while it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime

from benchmarks.server.models import CLASS, INPUT, SCORES, BenchModel
from benchmarks.server.protocols import Prediction
from benchmarks.server.text_model import LOGITS, TextModel


def open_session(path: Path, threads_per_run: int) -> Any:
    """A session whose waiting threads sleep instead of spinning."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads_per_run
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def prediction_of(model: BenchModel, file: Path) -> Prediction:
    """What the bare runtime answers to the model's row."""
    label, scores = open_session(file, 1).run([CLASS, SCORES], {INPUT: model.row_of_input()})
    return Prediction(int(label[0]), scores[0])


def predictions_of(model: BenchModel | TextModel, file: Path) -> list[Prediction]:
    """What the bare runtime answers to each of the model's questions; to a text, the score of its class."""
    if isinstance(model, BenchModel):
        return [prediction_of(model, file)]
    session = open_session(file, 1)
    return [_of_text(session.run([LOGITS], feed)[0][0]) for feed in model.feeds()]


def _of_text(logits: Any) -> Prediction:
    label = int(logits.argmax())
    return Prediction(label, np.array([1 / np.exp(logits - logits[label]).sum()], np.float32))
