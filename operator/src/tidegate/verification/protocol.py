"""The Open Inference Protocol's JSON: what a model says that it takes, requests for it, and whether answers fit. Pure.

Source: https://github.com/kserve/open-inference-protocol, inference_rest.md of version 2.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.model.revision import Tensor

DATATYPES = frozenset(
    ("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES")
) | {"BF16"}
Document = Mapping[str, Any]


class NotOfTheProtocol(ValueError):
    """A document that isn't as the protocol has it; the message says which field."""


@dataclass(frozen=True)
class Signature:
    """What a model says of itself; no inputs where it says nothing of them."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    versions: tuple[str, ...] = ()


def document_of(body: bytes) -> Document:
    """A JSON object. Raises NotOfTheProtocol."""
    try:
        found = json.loads(body)
    except ValueError as error:
        raise NotOfTheProtocol(f"the answer isn't JSON: {error}") from error
    if not isinstance(found, Mapping):
        raise NotOfTheProtocol("the answer is no JSON object")
    return found


def signature_of(document: Document) -> Signature:
    """Of a model's metadata. Raises NotOfTheProtocol."""
    versions = document.get("versions") or ()
    return Signature(
        tuple(_tensors(document, "inputs")), tuple(_tensors(document, "outputs")), tuple(str(each) for each in versions)
    )


def signature_of_request(body: bytes) -> Signature:
    """What a request of the protocol shows of a model; nothing of its outputs. Raises NotOfTheProtocol."""
    return Signature(tuple(_tensors(document_of(body), "inputs")), ())


def _tensors(document: Document, field: str) -> Iterator[Tensor]:
    listed = document.get(field)
    if listed is None:
        return
    if not isinstance(listed, list):
        raise NotOfTheProtocol(f"`{field}` is no list")
    for each in listed:
        yield _tensor(each, field)


def _tensor(found: Any, field: str) -> Tensor:
    if not isinstance(found, Mapping) or not isinstance(found.get("name"), str):
        raise NotOfTheProtocol(f"`{field}` has an entry without a name")
    name, datatype, shape = found["name"], found.get("datatype"), found.get("shape")
    if datatype not in DATATYPES:
        raise NotOfTheProtocol(f"{name} has the datatype {datatype!r}, which the protocol doesn't know")
    if not isinstance(shape, list) or not all(isinstance(size, int) for size in shape):
        raise NotOfTheProtocol(f"{name} has the shape {shape!r}, which is no list of whole numbers")
    return Tensor(name, datatype, tuple(shape))


def values_of(output: Document) -> list[Any]:
    """A tensor's data in row-major order, nested or not. Raises NotOfTheProtocol where there is none."""
    data = output.get("data")
    if not isinstance(data, list):
        raise NotOfTheProtocol(f"{output.get('name')} has no data")
    return list(_flat(data))


def _flat(data: Sequence[Any]) -> Iterator[Any]:
    for each in data:
        if isinstance(each, list):
            yield from _flat(each)
        else:
            yield each


def check_outputs(document: Document, model: str, *, has_data: bool = True) -> list[Tensor]:
    """The outputs of an answer. Raises NotOfTheProtocol, which names the field that doesn't fit."""
    if document.get("model_name") != model:
        raise NotOfTheProtocol(f"model_name is {document.get('model_name')!r}, and the model is {model}")
    outputs = list(_tensors(document, "outputs"))
    if not outputs:
        raise NotOfTheProtocol("the answer has no outputs")
    for found, listed in zip(outputs, document["outputs"], strict=True):
        if has_data and len(values_of(listed)) != math.prod(found.shape):
            raise NotOfTheProtocol(
                f"{found.name} has {len(values_of(listed))} values, and its shape {list(found.shape)} "
                f"wants {math.prod(found.shape)}"
            )
    return outputs


def check_against(outputs: Sequence[Tensor], said: Signature) -> None:
    """Whether outputs are those of the metadata. Raises NotOfTheProtocol, which names one that isn't."""
    by_name = {each.name: each for each in said.outputs}
    for found in outputs:
        expected = by_name.get(found.name)
        if expected is None:
            raise NotOfTheProtocol(f"the output {found.name} isn't in the metadata")
        if expected.datatype != found.datatype or not _fits(found.shape, expected.shape):
            raise NotOfTheProtocol(f"the output is {found}, and the metadata says {expected}")


def _fits(shape: Sequence[int], pattern: Sequence[int]) -> bool:
    return len(shape) == len(pattern) and all(wanted in (-1, size) for size, wanted in zip(shape, pattern, strict=True))


def error_of(body: bytes) -> str | None:
    """The sentence of an error's `error`; None where it has none."""
    try:
        found = json.loads(body).get("error")
    except (ValueError, AttributeError):
        return None
    return found if isinstance(found, str) and found else None


def encoded(document: Document) -> bytes:
    """As it is sent."""
    return json.dumps(document, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Mistake:
    """A request of a caller who got something wrong: to be refused in a sentence, and to harm nobody else."""

    what: str
    body: bytes


def mistakes(request: Document) -> Iterator[Mistake]:
    """What can be wrong about a request that is right. It has at least one input with flat data."""
    first, *others = request["inputs"]
    yield Mistake("a body that isn't JSON", b'{"inputs": [')
    yield Mistake("an empty body", b"")
    yield Mistake("JSON that is no object", b"[1, 2]")
    yield Mistake("a request without inputs", b"{}")
    yield Mistake("an input of an unknown name", _with({**first, "name": "no-such-input"}, others, request))
    yield Mistake("fewer values than the shape wants", _with({**first, "data": first["data"][1:]}, others, request))
    yield Mistake("an unknown datatype", _with({**first, "datatype": "FP33"}, others, request))
    yield Mistake("a negative dimension", _with({**first, "shape": [-1, *first["shape"][1:]]}, others, request))
    if first["datatype"] != "BYTES":
        wrong = ["nonsense"] * len(first["data"])
        yield Mistake("text where numbers belong", _with({**first, "data": wrong}, others, request))
    yield Mistake(
        "an output that the model doesn't have", encoded({**request, "outputs": [{"name": "no-such-output"}]})
    )


def _with(first: Document, others: Sequence[Document], request: Document) -> bytes:
    return encoded({**request, "inputs": [first, *others]})
