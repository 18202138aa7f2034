"""Opens what lies beside model.onnx, each file of it optional: a tokenizer, names of classes, and a self-test.

All of it is read, bounded and checked here, before the first request: a broken file is a ModelRefused whose sentence
names the file and the field, and says what to do. labels.json and selftest.json are written for this server, and have
to fit. The files of transformers and sentence-transformers come along with a model: what they say is done, and where
they aren't about this graph a line in the log says so.
"""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tidegate_server.errors import InvalidRequest, ModelRefused
from tidegate_server.predict.class_names import fitting_classes, names_property, read_labels
from tidegate_server.predict.classes import Classes, LabelledPredictor, misfit
from tidegate_server.predict.embeddings import EmbeddingReader
from tidegate_server.predict.labels import LABELS_FILE, Labels
from tidegate_server.predict.package_files import PackageFolder, parse_json, read_file, unusable
from tidegate_server.predict.predictor import PlainPredictor, Predictor
from tidegate_server.predict.profile_file import MAX_PROFILE_BYTES, PROFILE_FILE, parse_profile
from tidegate_server.predict.samples import MAX_SAMPLES_BYTES, SAMPLES_FILE, parse_samples
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
from tidegate_server.predict.sentence_transformers import Recipe, embedding_reader, read_recipe
from tidegate_server.predict.text_encoder import RunSharing, StringEncoder, TextReader, string_input
from tidegate_server.predict.text_predictor import PROBE_TEXTS, ClassReader, OutputReader, TextPredictor
from tidegate_server.predict.token_classes import TokenReader
from tidegate_server.predict.tokenizer import MAX_TOKENIZER_BYTES, TOKENIZER_FILE, open_token_encoder, token_inputs
from tidegate_server.predict.tokenizer_config import longest_text
from tidegate_server.predict.ultralytics import image_example, image_properties
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.padding import Padding
from tidegate_server.protocol.signature import Signature
from tidegate_server.protocol.tensors import Array
from tidegate_server.protocol.training_profile import TrainingProfile

log = logging.getLogger(__name__)

MAX_REAL_CASES = 24
"""Of a self-test that has more; they differ enough to show whether rows are independent."""


@dataclass(frozen=True)
class Package:
    """What the folder holds beside the graph."""

    predictor: Predictor
    labels: tuple[str, ...] = ()
    """Names of the classes by position; empty when nobody named them."""
    selftest: Selftest | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What the graph says of itself."""
    samples: tuple[Any, ...] = ()
    """Bodies of /predict that the warm-up runs."""
    profile: TrainingProfile | None = None
    """How the inputs were distributed in training."""

    @property
    def properties(self) -> dict[str, str]:
        """What a client has to know of the graph to understand its numbers."""
        return {**image_properties(self.metadata), **names_property(self.labels)}

    @property
    def padding(self) -> Padding | None:
        """How texts would be lengthened to share a run; None where there are no texts, or all have one length."""
        return self.predictor.encoder.padding if isinstance(self.predictor, TextPredictor) else None

    def with_sharing(self, sharing: RunSharing) -> "Package":
        """The same package, whose texts share runs as far as warming up has shown that they may."""
        if not isinstance(self.predictor, TextPredictor):
            return self
        encoder = self.predictor.encoder.with_sharing(sharing)
        return replace(self, predictor=replace(self.predictor, encoder=encoder))

    def real_requests(self, signature: Signature, limits: Limits) -> list[dict[str, Array]]:
        """As clients send them: samples, the self-test's, and those that the predictor makes of its own example."""
        predictor, requests = self.predictor, self.sample_requests(signature, limits)[:MAX_REAL_CASES]
        cases = self.selftest.cases if self.selftest is not None else ()
        example = predictor.example(signature)
        readings = [partial(parse_case, case, predictor, signature, limits) for case in cases[:MAX_REAL_CASES]]
        if example is not None:
            readings.append(partial(predictor.read, example, signature, limits))
        if isinstance(predictor, TextPredictor):
            readings.append(partial(predictor.read, {"texts": list(PROBE_TEXTS)}, signature, limits))
        if example is None and (image := image_example(self.metadata, signature)) is not None:
            requests.append(image)
        for read in readings:
            with suppress(InvalidRequest):  # the self-test says later what is wrong with it
                requests += [request.arrays for request in read().requests]
        return requests

    def sample_requests(self, signature: Signature, limits: Limits) -> list[dict[str, Array]]:
        """Raises ModelRefused for a sample that the model can't be asked."""
        requests = []
        for number, body in enumerate(self.samples, 1):
            try:
                parsed = self.predictor.read(body, signature, limits)
            except InvalidRequest as error:
                raise unusable(SAMPLES_FILE, f"request {number}: {error}") from None
            requests += [request.arrays for request in parsed.requests]
        return requests

    def run_selftest(self, run: RunModel, signature: Signature, limits: Limits) -> SelftestReport:
        """Of no cases where there is no selftest.json."""
        if self.selftest is None:
            return SelftestReport(0, 0, ())
        return run_selftest(self.selftest, ModelUnderTest(run, self.predictor, signature, limits))


def open_package(folder: Path, signature: Signature, metadata: Mapping[str, str] = MappingProxyType({})) -> Package:
    """`folder` is where model.onnx lies, and `metadata` what the graph says of itself.

    Raises ModelRefused with a sentence about the first file that is broken.
    """
    files = PackageFolder(folder)
    predictor = _predictor(files, signature, metadata)
    classes = predictor.classes if isinstance(predictor, LabelledPredictor | TextPredictor) else None
    return Package(
        predictor,
        classes.names if classes else (),
        _selftest(folder, signature),
        metadata,
        _samples(folder),
        _profile(folder, signature),
    )


def _predictor(files: PackageFolder, signature: Signature, metadata: Mapping[str, str]) -> Predictor:
    labels = read_labels(files, signature, metadata)
    classes = fitting_classes(labels, signature)
    content = files.read(TOKENIZER_FILE, MAX_TOKENIZER_BYTES) if _takes_tokens(files, signature) else None
    if content is not None:
        return _token_predictor(content, files, labels, classes, signature)
    if classes is not None and classes.kind == "tokens":
        if labels.file == LABELS_FILE:
            raise misfit(labels, signature.outputs)
        classes = None
    text_input = string_input(signature)
    if text_input is not None and (classes is not None or files.has(LABELS_FILE)):
        return TextPredictor(StringEncoder(text_input), ClassReader(classes) if classes else OutputReader())
    return LabelledPredictor(classes) if classes else PlainPredictor()


def _takes_tokens(files: PackageFolder, signature: Signature) -> bool:
    if not files.has(TOKENIZER_FILE):
        return False
    try:
        token_inputs(signature)
    except ModelRefused as error:
        log.warning("%s. It is served without it, and takes tensors", error)
        return False
    return True


def _token_predictor(
    content: bytes, files: PackageFolder, labels: Labels, classes: Classes | None, signature: Signature
) -> TextPredictor:
    recipe = _recipe(files)
    reader = _reader(classes, recipe, signature)
    encoder = open_token_encoder(content, labels.max_length or longest_text(files.json), signature)
    prompt = recipe.prompt if recipe is not None and isinstance(reader, EmbeddingReader) else ""
    return TextPredictor(replace(encoder, keeps_origin=isinstance(reader, TokenReader)), reader, prompt)


def _reader(classes: Classes | None, recipe: Recipe | None, signature: Signature) -> TextReader:
    if classes is not None:
        return TokenReader(classes) if classes.kind == "tokens" else ClassReader(classes)
    return embedding_reader(recipe, signature) or OutputReader()


def _recipe(files: PackageFolder) -> Recipe | None:
    try:
        return read_recipe(files.json)
    except ModelRefused as error:
        log.warning("%s. No vector is made of a text's tokens", error)
        return None


def _selftest(folder: Path, signature: Signature) -> Selftest | None:
    content = read_file(folder / SELFTEST_FILE, MAX_SELFTEST_BYTES)
    return None if content is None else parse_selftest(parse_json(SELFTEST_FILE, content), signature)


def _profile(folder: Path, signature: Signature) -> TrainingProfile | None:
    content = read_file(folder / PROFILE_FILE, MAX_PROFILE_BYTES)
    return None if content is None else parse_profile(parse_json(PROFILE_FILE, content), signature)


def _samples(folder: Path) -> tuple[Any, ...]:
    content = read_file(folder / SAMPLES_FILE, MAX_SAMPLES_BYTES)
    return () if content is None else parse_samples(parse_json(SAMPLES_FILE, content))
