"""Which files of a folder a model is made of. Pure: it knows names only."""

import hashlib
from collections.abc import Collection, Mapping

from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.report import NOT_FOUND, UNSUPPORTED_MODEL

MODEL = "model.onnx"
SIGNATURE = "model.sig"
COMPANION_FILES = (
    "tokenizer.json",
    "labels.json",
    "selftest.json",
    "warmup.json",
    "training-profile.json",
    "config.json",
    "tokenizer_config.json",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/config.json",
)
"""What a folder may have beside the graph and its weights, and the server reads."""
OPTIONAL_FILES = (*COMPANION_FILES, SIGNATURE)


def select_graph(names: Collection[str]) -> str:
    """The graph in a folder: model.onnx, or the only .onnx file. Raises FetchFailed."""
    graphs = sorted(name for name in names if name.endswith(".onnx") and "/" not in name)
    if MODEL in graphs:
        return MODEL
    if len(graphs) == 1:
        return graphs[0]
    if not graphs:
        raise FetchFailed(NOT_FOUND, "the folder has no .onnx file; name the folder that the model is in")
    sentence = f"the folder has {len(graphs)} .onnx files and none is {MODEL}; name one of them {MODEL}"
    raise FetchFailed(UNSUPPORTED_MODEL, sentence)


def files_digest(digests: Mapping[str, str]) -> str:
    """The sha256 of the sorted lines `<sha256>  <name>`, as `sha256sum` writes them: it stands for all the files."""
    lines = sorted(f"{sha256}  {name}\n" for name, sha256 in digests.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()
