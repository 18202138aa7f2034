"""Opens what lies beside model.onnx: tokenizer.json, labels.json and selftest.json, each of them optional.

All of it is read, bounded and checked here, before the first request: a broken file is a ModelRefused whose sentence
names the file and the field, and says what to do.
"""

from dataclasses import dataclass
from pathlib import Path

from tidegate_server.errors import InvalidRequest
from tidegate_server.predict.classes import LabelledPredictor, find_classes
from tidegate_server.predict.cut import Strings, string_input
from tidegate_server.predict.files import parse_json, read_file
from tidegate_server.predict.labels import LABELS_FILE, Labels, parse_labels
from tidegate_server.predict.predictor import Asked, Outputs, PlainPredictor, Predictor
from tidegate_server.predict.selftest import MAX_SELFTEST_BYTES, SELFTEST_FILE, Selftest, asked_in, parse_selftest
from tidegate_server.predict.text import TextPredictor, text_classes
from tidegate_server.predict.tokens import MAX_TOKENIZER_BYTES, TOKENIZER_FILE, open_tokens
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.signature import Signature
from tidegate_server.protocol.tensors import Array

MAX_LABELS_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Package:
    predictor: Predictor
    labels: tuple[str, ...] = ()
    """Names of the classes by position; empty when nobody named them."""
    selftest: Selftest | None = None

    def example(self, signature: Signature, limits: Limits) -> dict[str, Array] | None:
        """The inputs of a request as clients send it, where the self-test or the predictor knows one."""
        body = self.predictor.example(signature)
        try:
            if self.selftest is not None:
                return asked_in(self.selftest.cases[0], self.predictor, signature, limits).requests[0].arrays
            return None if body is None else self.predictor.read(body, signature, limits).requests[0].arrays
        except InvalidRequest:
            return None  # the self-test says later what is wrong with it


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
        said = labels or Labels()
        return TextPredictor(open_tokens(tokenizer, said.max_length, signature), text_classes(said, signature))
    strings = string_input(signature)
    if strings is not None and labels is not None:
        return TextPredictor(Strings(strings), text_classes(labels, signature))
    if labels is not None and labels.names:
        return LabelledPredictor(find_classes(labels, signature))
    return PlainPredictor()


def _selftest(folder: Path, signature: Signature) -> Selftest | None:
    content = read_file(folder / SELFTEST_FILE, MAX_SELFTEST_BYTES)
    return None if content is None else parse_selftest(parse_json(SELFTEST_FILE, content), signature)


__all__ = ["Asked", "Outputs", "Package", "PlainPredictor", "Predictor", "open_package"]
