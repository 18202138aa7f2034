"""The protocol's binary tensors: little-endian, row-major, without padding, behind the JSON. Pure.

Source: the binary tensor data extension of https://github.com/triton-inference-server/server (docs/protocol).
"""

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.model.revision import Tensor
from tidegate.verification.protocol import Document, NotOfTheProtocol, document_of, encoded

HEADER = "Inference-Header-Content-Length"
FORMATS = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}


def can_be_packed(tensors: Sequence[Tensor]) -> bool:
    """Whether each datatype has a form here; BF16 has none."""
    return all(each.datatype in FORMATS or each.datatype == "BYTES" for each in tensors)


def packed(datatype: str, values: Sequence[Any]) -> bytes:
    """A tensor's bytes."""
    if datatype == "BYTES":
        texts = [str(each).encode() for each in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return struct.pack(f"<{len(values)}{FORMATS[datatype]}", *values)


def unpacked(tensor: Tensor, content: bytes) -> list[Any]:
    """A tensor's values. Raises NotOfTheProtocol where its bytes are too many or too few."""
    count = math.prod(tensor.shape)
    if tensor.datatype == "BYTES":
        return _texts(tensor, content, count)
    form = f"<{count}{FORMATS[tensor.datatype]}"
    if len(content) != struct.calcsize(form):
        raise NotOfTheProtocol(f"{tensor} has {len(content)} bytes, not {struct.calcsize(form)}")
    return list(struct.unpack(form, content))


def _texts(tensor: Tensor, content: bytes, count: int) -> list[str]:
    found, at = [], 0
    while at + 4 <= len(content):
        (length,) = struct.unpack_from("<I", content, at)
        found.append(content[at + 4 : at + 4 + length].decode(errors="replace"))
        at += 4 + length
    if at != len(content) or len(found) != count:
        raise NotOfTheProtocol(f"{tensor} has {len(content)} bytes, which aren't {count} texts")
    return found


def binary_request(request: Document) -> tuple[bytes, Mapping[str, str]]:
    """The same request with binary inputs, asking for binary outputs: the body and its headers."""
    contents = [packed(each["datatype"], each["data"]) for each in request["inputs"]]
    inputs = [
        {**{key: each[key] for key in ("name", "datatype", "shape")}, "parameters": {"binary_data_size": len(content)}}
        for each, content in zip(request["inputs"], contents, strict=True)
    ]
    head = encoded({**request, "inputs": inputs, "parameters": {"binary_data_output": True}})
    return head + b"".join(contents), {"Content-Type": "application/octet-stream", HEADER: str(len(head))}


def split_answer(body: bytes, headers: Mapping[str, str]) -> tuple[Document, list[bytes]]:
    """An answer's JSON, and each output's bytes. `headers` by names in lower case. Raises NotOfTheProtocol."""
    length = headers.get(HEADER.lower(), "")
    if not length.isdigit() or int(length) > len(body):
        raise NotOfTheProtocol(f"{HEADER} is {length!r}, and the answer has {len(body)} bytes")
    document, at, contents = document_of(body[: int(length)]), int(length), []
    for each in document.get("outputs") or ():
        size = (each.get("parameters") or {}).get("binary_data_size")
        if not isinstance(size, int) or size < 0:
            raise NotOfTheProtocol(f"{each.get('name')} has no binary_data_size")
        contents.append(body[at : at + size])
        at += size
    if at != len(body):
        raise NotOfTheProtocol(
            f"the outputs have {at - int(length)} bytes together, and {len(body) - int(length)} came"
        )
    return document, contents
