"""Valid requests, and what can be done to them: to the document, to the bytes, and to the length header."""

import json
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from tests.server.protocol.example_requests import SIGNATURES, array_of, infer_body
from tidegate_server.protocol.signature import NUMPY_TYPES, Signature

_ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 255, 256, 2**31, 2**63, 2**64, -(2**63) - 1, 10**30, 0.5, -0.0, 1e39, 1e308, 65520,
    "", "x", "y", "scores", "text", "\x00", "ü", "null", "NaN", "1", *NUMPY_TYPES, "BF16",
    [], [[]], [1, [2]], [None], {}, {"name": "x"}, {"binary_data_size": 4}, {"binary_data": True},
    {"classification": 2}, {"timeout": 1}, {"binary_data_output": True}, [0], [1, 2], [2, 2], [-1, 2], [2**62, 2**62],
)  # fmt: skip
_ODD_BYTES = (b"\x00", b"\xff", b'"', b"{", b"[", b"]", b",", b"1e999", b"NaN", b"\xed\xa0\x80", b"-", b"[" * 1100)


@dataclass(frozen=True)
class Case:
    signature: Signature
    body: bytes
    json_bytes: int | None


def valid_case(random: Random) -> Case:
    signature = random.choice(SIGNATURES)
    size = random.randint(1, 3)
    arrays = {}
    for spec in signature.inputs:
        shape = tuple(size if expected == -1 else expected for expected in spec.shape)
        values = [_value(spec.datatype, random) for _ in range(int(np.prod(shape)))]
        arrays[spec.name] = array_of(spec.datatype, shape, values)
    binary = {name for name in arrays if random.random() < 0.4}
    fields: dict[str, Any] = random.choice(
        [{}, {"id": "7"}, {"outputs": [{"name": "scores"}]}, {"parameters": {"timeout": 5}}]
    )
    return Case(signature, *infer_body(signature, arrays, binary, nested=random.random() < 0.5, **fields))


def _value(datatype: str, random: Random) -> Any:
    if datatype == "BYTES":
        return random.choice(["", "a", "ü", "a\0b"])
    return random.randint(0, 1) if datatype == "BOOL" else random.randint(0, 100)


def mutated(case: Case, random: Random) -> Case:
    """One to four changes."""
    for _ in range(random.randint(1, 4)):
        case = random.choice((_document_changed, _document_changed, _bytes_changed, _header_changed))(case, random)
    return case


def _document_changed(case: Case, random: Random) -> Case:
    """The header follows, so that what comes after it is read too."""
    end = len(case.body) if case.json_bytes is None else case.json_bytes
    try:
        document = json.loads(case.body[:end])
        head = json.dumps(_changed(document, random)).encode()
    except (ValueError, RecursionError):  # an earlier change was to the bytes
        return _bytes_changed(case, random)
    return Case(case.signature, head + case.body[end:], None if case.json_bytes is None else len(head))


def _changed(value: Any, random: Random) -> Any:
    """A copy with one place changed, as likely deep inside as not."""
    if isinstance(value, dict) and value and random.random() < 0.85:
        key = random.choice(list(value))
        if random.random() < 0.15:
            return {other: kept for other, kept in value.items() if other != key}
        if random.random() < 0.15:
            added = random.choice(["data", "parameters", "shape", "outputs", "id", "binary_data_size", "timeout"])
            return value | {added: random.choice(_ODD_VALUES)}
        return value | {key: _changed(value[key], random)}
    if isinstance(value, list) and value and random.random() < 0.85:
        at = random.randrange(len(value))
        inserted = random.choice([[], [value[at]] * 2, [_changed(value[at], random)], [_changed(value[at], random)]])
        return value[:at] + inserted + value[at + 1 :]
    return random.choice(_ODD_VALUES)


def _bytes_changed(case: Case, random: Random) -> Case:
    body, at = case.body, random.randint(0, len(case.body))
    end = min(len(body), at + random.randint(0, 8))
    middle = random.choice([b"", random.randbytes(end - at), body[at:end] * 2, random.choice(_ODD_BYTES)])
    return Case(case.signature, body[:at] + middle + body[end:], case.json_bytes)


def _header_changed(case: Case, random: Random) -> Case:
    near = (case.json_bytes or 0) + random.randint(-2, 2)
    json_bytes = random.choice([None, 0, near, len(case.body), random.randint(0, 2 * len(case.body) + 1)])
    return Case(case.signature, case.body, json_bytes)
