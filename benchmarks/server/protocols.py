"""The same question in every protocol, and the answers read back to be compared with the bare runtime's. Pure."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import BenchmarkError
from benchmarks.http_client import head_bytes
from benchmarks.server.models import CLASS, INPUT, LABELS, SCORES

HEADER_LENGTH = "Inference-Header-Content-Length"
_DTYPES = {"FP32": np.float32, "INT64": np.int64}


@dataclass(frozen=True)
class InferenceRequest:
    """A POST."""

    path: str
    body: bytes
    headers: dict[str, str]

    def head(self, host: str, headers: Mapping[str, str | int]) -> bytes:
        """Its head as it is sent, with these headers beside its own."""
        return head_bytes("POST", self.path, {"Host": host, **self.headers, **headers})

    def sent_to(self, host: str) -> bytes:
        """All of it as it is sent; `host` is `address:port`."""
        return self.head(host, {"Content-Length": len(self.body)}) + self.body


@dataclass(frozen=True)
class Prediction:
    """Of one question: a class, and the scores of all ten; of a text the one of its class."""

    label: int
    scores: NDArray[np.float32]

    def differs(self, expected: "Prediction") -> str | None:
        """What is wrong with this answer, in words."""
        if self.scores.shape != expected.scores.shape:
            return f"{self.scores.size} scores instead of {expected.scores.size}"
        if not np.allclose(self.scores, expected.scores, rtol=1e-3, atol=1e-5):
            worst = float(np.abs(self.scores - expected.scores).max())
            return f"scores that are {worst:.3g} off"
        if self.label != expected.label:
            return f"class {self.label} instead of {expected.label}"
        return None


@dataclass(frozen=True)
class Protocol:
    """How to ask one question, a row or a text, and how to read the answer from its body and its headers (in lower
    case)."""

    name: str
    ask: Callable[[str, Any], InferenceRequest]
    read: Callable[[bytes, Mapping[str, str]], Prediction]


def _ask_json(model: str, rows: NDArray[np.float32]) -> InferenceRequest:
    tensor = {"name": INPUT, "shape": list(rows.shape), "datatype": "FP32", "data": _plain(rows.ravel())}
    return _json_request(f"/v2/models/{model}/infer", {"inputs": [tensor]})


def _ask_binary(model: str, rows: NDArray[np.float32]) -> InferenceRequest:
    data = rows.tobytes()
    parameters = {"binary_data_size": len(data)}
    tensor = {"name": INPUT, "shape": list(rows.shape), "datatype": "FP32", "parameters": parameters}
    outputs = [{"name": name, "parameters": {"binary_data": True}} for name in (CLASS, SCORES)]
    head = json.dumps({"inputs": [tensor], "outputs": outputs}, separators=(",", ":")).encode()
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(head))}
    return InferenceRequest(f"/v2/models/{model}/infer", head + data, headers)


def _ask_predict(_model: str, rows: NDArray[np.float32]) -> InferenceRequest:
    return _json_request("/predict", {"inputs": _plain(rows)})


def ask_rows(_model: str, rows: NDArray[np.float32]) -> InferenceRequest:
    """For a server without the Open Inference Protocol: the rows alone."""
    return _json_request("/predict", {"rows": _plain(rows)})


def _ask_text(_model: str, text: str) -> InferenceRequest:
    return _json_request("/predict", {"text": text})


def _json_request(path: str, document: dict[str, Any]) -> InferenceRequest:
    body = json.dumps(document, separators=(",", ":")).encode()
    return InferenceRequest(path, body, {"Content-Type": "application/json"})


def _plain(values: NDArray[np.float32]) -> Any:
    """Four decimals, not the seventeen digits of a 32-bit float seen as a 64-bit one."""
    return np.round(values.astype(np.float64), 4).tolist()


def read_tensors(body: bytes, headers: Mapping[str, str]) -> Prediction:
    """An answer of the Open Inference Protocol, each tensor as JSON or as bytes after the JSON."""
    length = int(headers.get(HEADER_LENGTH.lower(), len(body)))
    at, seen = length, {}
    for tensor in json.loads(body[:length])["outputs"]:
        if "data" in tensor:
            seen[tensor["name"]] = np.asarray(tensor["data"])
            continue
        size = tensor["parameters"]["binary_data_size"]
        seen[tensor["name"]] = np.frombuffer(body[at : at + size], _DTYPES[tensor["datatype"]])
        at += size
    return _prediction(seen)


def read_named(body: bytes, _headers: Mapping[str, str]) -> Prediction:
    """`{"outputs": {name: rows}}`, or the names without the wrapper."""
    document = json.loads(body)
    return _prediction({name: np.asarray(value) for name, value in document.get("outputs", document).items()})


def read_columns(body: bytes, _headers: Mapping[str, str]) -> Prediction:
    """One row of a bare list of rows: the class, then the scores."""
    (row,) = json.loads(body)
    return Prediction(int(row[0]), np.asarray(row[1:], np.float32))


def read_label(body: bytes, _headers: Mapping[str, str]) -> Prediction:
    """A text's label, and its score alone."""
    document = json.loads(body)
    return Prediction(LABELS.index(document["label"]), np.array([document["score"]], np.float32))


def _prediction(outputs: Mapping[str, NDArray[Any]]) -> Prediction:
    if missing := {CLASS, SCORES} - set(outputs):
        raise BenchmarkError(f"an answer without {' and '.join(sorted(missing))}")
    return Prediction(int(outputs[CLASS].ravel()[0]), outputs[SCORES].ravel().astype(np.float32))


JSON = Protocol("JSON", _ask_json, read_tensors)
BINARY = Protocol("binary", _ask_binary, read_tensors)
PREDICT = Protocol("/predict", _ask_predict, read_named)
TEXT = Protocol("text", _ask_text, read_label)
