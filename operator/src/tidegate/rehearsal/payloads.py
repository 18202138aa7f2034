"""What a rehearsal asks the models: recorded requests, the model's own examples, or made-up ones. Pure.

A line of a file of requests is the body of one: of the Open Inference Protocol where it has `inputs` with names and
shapes, else of `/predict`. A CloudEvent of a request, as the server's payload log writes them, stands for its data, and
`{"path": …, "body": …}` says where the body goes.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from tidegate.errors import TidegateError
from tidegate.model.revision import ModelFacts, Tensor

MOST_LINES = 100_000
LINE_BYTES = 16 * 2**20
WORDS = ("good", "bad", "the", "film", "battery", "service", "quick", "slow", "never", "always", "again", "works")
MADE_UP = 64
"""Requests that are made up of a signature; they take turns."""
FREE_DIMENSION = 4
"""How long a dimension of any size is made, but for the first: that one is the batch."""
WHOLE = frozenset({"INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"})


@dataclass(frozen=True)
class Payload:
    """One request: a POST of a JSON body, unless `headers` say otherwise."""

    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def read_requests(lines: Iterable[str], model: str, source: str) -> list[Payload]:
    """The requests of a file, one a line. Raises TidegateError, which names the line and what to do."""
    payloads = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if number > MOST_LINES or len(line) > LINE_BYTES:
            raise TidegateError(f"{source}: it has more than {MOST_LINES:,} lines, or one of more than 16 MiB; cut it")
        try:
            payloads.append(_payload(json.loads(line), model))
        except (ValueError, TypeError) as error:
            raise TidegateError(f"{source}, line {number}: {error}; each line must be one request as JSON") from error
    if not payloads:
        raise TidegateError(f"{source} has no requests; each line must be one request as JSON")
    return payloads


def example_requests(selftest: Mapping[str, Any]) -> list[Payload]:
    """The questions of a model's selftest.json, which are bodies of /predict."""
    cases = [case for case in selftest.get("cases") or () if isinstance(case, Mapping) and "body" in case]
    return [Payload("/predict", _json(case["body"])) for case in cases]


def made_up_requests(facts: ModelFacts, model: str, random: Random) -> list[Payload]:
    """Requests that fit a signature: numbers around zero, small whole numbers, and words."""
    path = _infer_path(model)
    return [Payload(path, _json({"inputs": [_made_up(each, random) for each in facts.inputs]})) for _ in range(MADE_UP)]


def _payload(document: Any, model: str) -> Payload:
    if not isinstance(document, Mapping):
        raise ValueError(f"{str(document)[:40]!r} is not an object")
    if "specversion" in document:
        kind = str(document.get("type", ""))
        if not kind.endswith("inference.request") or not isinstance(document.get("data"), Mapping):
            raise ValueError(f"it is a CloudEvent of the type {kind!r}, and not a request with JSON data")
        document = document["data"]
    if isinstance(document.get("path"), str) and "body" in document:
        if not document["path"].startswith("/"):
            raise ValueError(f"path: {document['path']!r} doesn't begin with /")
        return Payload(document["path"], _json(document["body"]))
    return Payload(_infer_path(model) if _is_of_the_protocol(document) else "/predict", _json(document))


def _is_of_the_protocol(document: Mapping[str, Any]) -> bool:
    inputs = document.get("inputs")
    return isinstance(inputs, list) and bool(inputs) and isinstance(inputs[0], Mapping) and "datatype" in inputs[0]


def _infer_path(model: str) -> str:
    return f"/v2/models/{model}/infer"


def _made_up(tensor: Tensor, random: Random) -> Mapping[str, Any]:
    free = [1, *[FREE_DIMENSION] * len(tensor.shape)]
    shape = [free[at] if size < 0 else size for at, size in enumerate(tensor.shape)]
    length = 1
    for size in shape:
        length *= size
    data = [_value(tensor.datatype, random) for _ in range(length)]
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": shape, "data": data}


def _value(datatype: str, random: Random) -> Any:
    if datatype == "BYTES":
        return " ".join(random.choices(WORDS, k=5))
    if datatype == "BOOL":
        return random.random() < 0.5
    return random.randrange(10) if datatype in WHOLE else round(random.gauss(0, 1), 4)


def _json(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def in_turns(payloads: Sequence[Payload], number: int) -> Payload:
    """The n-th request: they come in order, again and again."""
    return payloads[number % len(payloads)]
