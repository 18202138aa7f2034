"""OpenAI's embeddings: texts in, a vector for each out, as numbers or as base64 of little-endian FP32. Pure."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import numpy as np

from tidegate_server.dialects.dialect import Call, Dialect, ServedModel, json_object, written
from tidegate_server.errors import InvalidRequest
from tidegate_server.predict.embeddings import EmbeddingReader
from tidegate_server.predict.predictor import ParsedRequest
from tidegate_server.predict.text_predictor import OutputReader, TextPredictor
from tidegate_server.protocol.json_codec import dump_json, quoted
from tidegate_server.protocol.tensors import Array, Outputs

MAX_INPUTS = 2048
"""As OpenAI's own service takes, and more than any of its clients sends at once."""
TEXTS_AT_ONCE = 64
_OTHER_VOCABULARY = (
    "input has token ids, which are of the client's own vocabulary and not of this model's; send texts "
    "(langchain: check_embedding_ctx_length=False)"
)
_WANTED = '{"model": "...", "input": "..."}'


def _read(body: bytes, _content_type: str, model: ServedModel) -> Call:
    document = json_object(body, _WANTED)
    encoding = document.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise InvalidRequest(f"encoding_format is {_shown(encoding)}; give float or base64")
    texts = _texts(document.get("input"))
    predictor = _embedding_predictor(model)
    _require_size(document.get("dimensions"), predictor, model)
    parts = [
        predictor.read_texts(texts[start : start + TEXTS_AT_ONCE], "input", model.signature, model.limits)
        for start in range(0, len(texts), TEXTS_AT_ONCE)
    ]
    requests = tuple(request for part in parts for request in part.requests)
    return Call(requests, lambda outputs: _write(parts, outputs, encoding == "base64", model))


def _texts(given: Any) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts:
        raise InvalidRequest("input must be a text or a list of texts, and not empty")
    if type(texts[0]) is int or isinstance(texts[0], list):
        raise InvalidRequest(_OTHER_VOCABULARY)
    if not all(isinstance(text, str) for text in texts):
        raise InvalidRequest("input must be a text or a list of texts")
    if len(texts) > MAX_INPUTS:
        raise InvalidRequest(f"input has {len(texts)} texts; give at most {MAX_INPUTS} in one request", 413)
    return texts


def _embedding_predictor(model: ServedModel) -> TextPredictor:
    predictor = model.predictor
    if isinstance(predictor, TextPredictor) and _vector_output(predictor, model) is not None:
        return predictor
    raise InvalidRequest(
        f"{model.name} gives no embeddings: it needs a tokenizer.json, and an output sentence_embedding or a "
        "1_Pooling/config.json with modules.json; ask /predict for what it gives"
    )


def _vector_output(predictor: TextPredictor, model: ServedModel) -> str | None:
    """The output with the vectors; also where nobody has said so, but it can be nothing else."""
    if isinstance(predictor.reader, EmbeddingReader):
        return predictor.reader.output
    if not isinstance(predictor.reader, OutputReader) or len(model.signature.outputs) != 1:
        return None
    (only,) = model.signature.outputs
    return only.name if only.datatype.startswith("FP") and len(only.shape) == 2 else None


def _require_size(dimensions: Any, predictor: TextPredictor, model: ServedModel) -> None:
    if dimensions is None:
        return
    spec = model.signature.output(_vector_output(predictor, model) or "")
    size = spec.shape[-1] if spec is not None else -1
    if dimensions != size:
        raise InvalidRequest(f"dimensions is {_shown(dimensions)}; this model's vectors have one size, leave it out")


def _write(parts: Sequence[ParsedRequest], outputs: Sequence[Outputs], as_base64: bool, model: ServedModel) -> bytes:
    rows, at = [], 0
    for part in parts:
        rows += part.rows(outputs[at : at + len(part.requests)])
        at += len(part.requests)
    tokens = sum(part.tokens() for part in parts)
    document = {
        "object": "list",
        "data": [_entry(index, row, as_base64) for index, row in enumerate(rows)],
        "model": model.name,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return written(document, outputs)


def _entry(index: int, row: dict[str, Any], as_base64: bool) -> dict[str, Any]:
    vector: Array = row["embedding"] if "embedding" in row else next(iter(row["outputs"].values()))
    shown = b64encode(np.ascontiguousarray(vector, dtype="<f4").tobytes()).decode() if as_base64 else vector
    return {
        "object": "embedding",
        "index": index,
        "embedding": shown,
        **({"truncated": True} if "truncated" in row else {}),
    }


def _write_error(status: int, sentence: str) -> bytes:
    kind = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}.get(status)
    kind = kind or ("invalid_request_error" if status < 500 else "server_error")
    return dump_json({"error": {"message": sentence, "type": kind, "param": None, "code": None}})


def _shown(value: Any) -> str:
    return quoted(value) if isinstance(value, str) else str(value)[:80]


OPENAI_EMBEDDINGS = Dialect(_read, _write_error)
