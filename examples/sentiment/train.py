"""Trains the example's sentiment model and writes its folder: model.onnx, tokenizer.json, labels.json, selftest.json.

    python examples/sentiment/train.py vaderSentiment-0.5.zip [--to examples/sentiment/model]

The same archive gives the same files, on one core in some ten seconds. README.md says where the archive comes from.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

# Before numpy: sums on several threads come in any order, and would differ from run to run.
os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")

import numpy as np
import onnx
import onnxruntime
from graph import as_onnx
from network import Array, Batch, Recipe, Weights, new_weights, train
from ratings import Rated, read_ratings
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from tidegate_server.predict.package import open_package
from tidegate_server.predict.selftest_recording import record_selftest
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.request import InferRequest
from tidegate_server.protocol.signature import Signature, TensorSpec

SEED = 7
TOKENS = 4000
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]  # RoBERTa's, with RoBERTa's numbers
MAX_LENGTH = 128
STEEPNESS = 2.5  # how fast a rating becomes a certainty: 0.5 is 78 %, 1 is 92 %
WORD_IMPORTANCE = 0.5  # of a single rated word, beside 1 of a sentence
SIGNATURE = Signature(
    (TensorSpec("input", "INT64", ("batch", "sequence")),), (TensorSpec("output", "FP32", ("batch", 2)),)
)
SELFTEST_BODIES = [
    {"text": "A warm, funny and beautifully acted film."},
    {"text": "The battery died after two days and nobody answers my mails."},
    {"texts": ["I love it", "I do not love it", "🙂", ""]},
]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Trains the example's sentiment model.")
    parser.add_argument("archive", type=Path, help="vaderSentiment-0.5.zip")
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "model", help="the folder to write")
    options = parser.parse_args(arguments)
    sentences, words = read_ratings(options.archive)
    seen = [sentence for sentence in sentences if not sentence.held_out]
    tokenizer = learn_tokens(sentence.text for sentence in seen)
    weights = learn_weights(tokenizer, seen, words)
    write_folder(options.to, tokenizer, weights)
    print_accuracy(options.to, [sentence for sentence in sentences if sentence.held_out])


def learn_tokens(texts: Iterator[str]) -> Tokenizer:
    """Byte-level BPE as RoBERTa has it, but smaller, and in lower case, since so few texts can't teach it both."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=TOKENS, special_tokens=SPECIAL, initial_alphabet=sorted(alphabet), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=True)
    tokenizer.enable_truncation(MAX_LENGTH)
    return tokenizer


def learn_weights(tokenizer: Tokenizer, sentences: Sequence[Rated], words: Sequence[Rated]) -> Weights:
    generator = np.random.default_rng(SEED)
    recipe = Recipe()
    weights = new_weights(tokenizer.get_vocab_size(), generator)
    rated = [(sentence, 1.0) for sentence in sentences] + [(word, WORD_IMPORTANCE) for word in words]
    train(weights, list(_batches(tokenizer, rated, recipe.batch)), recipe, generator)
    return weights


def _batches(tokenizer: Tokenizer, rated: Sequence[tuple[Rated, float]], size: int) -> Iterator[Batch]:
    by_length: dict[int, list[tuple[list[int], float, float]]] = {}
    for one, importance in rated:
        tokens = tokenizer.encode(one.text).ids
        target = 1 / (1 + float(np.exp(-STEEPNESS * one.rating)))
        by_length.setdefault(len(tokens), []).append((tokens, target, importance))
    for _, texts in sorted(by_length.items()):
        for start in range(0, len(texts), size):
            tokens_, targets, importance_ = zip(*texts[start : start + size], strict=True)
            yield Batch(np.array(tokens_), np.array(targets, np.float32), np.array(importance_, np.float32))


def write_folder(folder: Path, tokenizer: Tokenizer, weights: Weights) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "selftest.json").unlink(missing_ok=True)  # the one of an older model would be refused
    onnx.save(as_onnx(weights), folder / "model.onnx")
    (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=False) + "\n")
    (folder / "labels.json").write_text(json.dumps(["negative", "positive"]) + "\n")
    predictor = open_package(folder, SIGNATURE).predictor
    content = record_selftest(SELFTEST_BODIES, _Runner(folder), predictor, SIGNATURE, Limits())
    (folder / "selftest.json").write_bytes(content)


class _Runner:
    def __init__(self, folder: Path) -> None:
        self._session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])

    def __call__(self, request: InferRequest) -> dict[str, Array]:
        return {"output": self._session.run(["output"], request.arrays)[0]}


def print_accuracy(folder: Path, held_out: Sequence[Rated]) -> None:
    """Of what was written, through the predictor that the server uses, on sentences that it has never seen."""
    predictor = open_package(folder, SIGNATURE).predictor
    run = _Runner(folder)
    right: dict[str, list[bool]] = {}
    for sentence in held_out:
        asked = predictor.read({"text": sentence.text}, SIGNATURE, Limits())
        answer = json.loads(asked.write("sentiment", "7", [run(request) for request in asked.requests]))
        right.setdefault(sentence.source, []).append(answer["positive"] == sentence.positive)
    lines = [f"{source:22} {np.mean(verdicts):.3f} of {len(verdicts)}" for source, verdicts in right.items()]
    everything = np.concatenate([np.array(verdicts) for verdicts in right.values()])
    positive = float(np.mean([one.positive for one in held_out]))
    lines.append(f"{'all held-out sentences':22} {everything.mean():.3f} of {len(everything)}")
    lines.append(f"{'always the larger side':22} {max(positive, 1 - positive):.3f}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
