"""Opens what lies beside model.onnx: tokenizer.json, labels.json and selftest.json, each of them optional.

All of it is read, bounded and checked here, before the first request: a broken file is a ModelRefused whose sentence
names the file and the field, and says what to do.
"""

from dataclasses import dataclass
from pathlib import Path

from tidegate_server.errors import InvalidRequest
from tidegate_server.predict.classes import LabelledPredictor, find_classes
from tidegate_server.predict.labels import LABELS_FILE, Labels, parse_labels
from tidegate_server.predict.package_files import parse_json, read_file
from tidegate_server.predict.predictor import PlainPredictor, Predictor
from tidegate_server.predict.selftest import (
    MAX_SELFTEST_BYTES,
    SELFTEST_FILE,
    ModelUnderTest,
    RunModel,
    Selftest,
    SelftestReport,
    parse_case,
    parse_selftest,
    run_selftest,
)
from tidegate_server.predict.text_encoder import StringEncoder, string_input
from tidegate_server.predict.text_predictor import TextPredictor, text_classes
from tidegate_server.predict.tokenizer import MAX_TOKENIZER_BYTES, TOKENIZER_FILE, open_token_encoder
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.signature import Signature
from tidegate_server.protocol.tensors import Array

MAX_LABELS_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Package:
    """What the folder holds beside the graph."""

    predictor: Predictor
    labels: tuple[str, ...] = ()
    """Names of the classes by position; empty when nobody named them."""
    selftest: Selftest | None = None

    def example(self, signature: Signature, limits: Limits) -> dict[str, Array] | None:
        """The inputs of a request as clients send it, where the self-test or the predictor knows one."""
        body = self.predictor.example(signature)
        try:
            if self.selftest is not None:
                return parse_case(self.selftest.cases[0], self.predictor, signature, limits).requests[0].arrays
            return None if body is None else self.predictor.read(body, signature, limits).requests[0].arrays
        except InvalidRequest:
            return None  # the self-test says later what is wrong with it

    def run_selftest(self, run: RunModel, signature: Signature, limits: Limits) -> SelftestReport:
        """Of no cases where there is no selftest.json."""
        if self.selftest is None:
            return SelftestReport(0, 0, ())
        return run_selftest(self.selftest, ModelUnderTest(run, self.predictor, signature, limits))


def open_package(folder: Path, signature: Signature) -> Package:
    """`folder` is where model.onnx lies. Raises ModelRefused with a sentence about the first file that is broken."""
    predictor = _predictor(folder, signature)
    classes = predictor.classes if isinstance(predictor, LabelledPredictor | TextPredictor) else None
    return Package(predictor, classes.names if classes else (), _selftest(folder, signature))


def _labels(folder: Path) -> Labels | None:
    content = read_file(folder / LABELS_FILE, MAX_LABELS_BYTES)
    return None if content is None else parse_labels(parse_json(LABELS_FILE, content))


def _predictor(folder: Path, signature: Signature) -> Predictor:
    labels = _labels(folder)
    tokenizer = read_file(folder / TOKENIZER_FILE, MAX_TOKENIZER_BYTES)
    if tokenizer is not None:
        text_labels = labels or Labels()
        return TextPredictor(
            open_token_encoder(tokenizer, text_labels.max_length, signature), text_classes(text_labels, signature)
        )
    text_input = string_input(signature)
    if text_input is not None and labels is not None:
        return TextPredictor(StringEncoder(text_input), text_classes(labels, signature))
    if labels is not None and labels.names:
        return LabelledPredictor(find_classes(labels, signature))
    return PlainPredictor()


def _selftest(folder: Path, signature: Signature) -> Selftest | None:
    content = read_file(folder / SELFTEST_FILE, MAX_SELFTEST_BYTES)
    return None if content is None else parse_selftest(parse_json(SELFTEST_FILE, content), signature)
