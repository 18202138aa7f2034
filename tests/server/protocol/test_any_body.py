"""By properties: any body gives arrays that fit the model or a 4xx, and what is written reads back as it was."""

import json
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.protocol.example_requests import (
    ONE_INPUT,
    SIGNATURES,
    Array,
    array_of,
    arrays_for,
    assert_fits,
    elements,
    infer_body,
    raw,
    same,
)
from tidegate_server.errors import InvalidRequest
from tidegate_server.protocol.bfloat16 import values_of
from tidegate_server.protocol.json_codec import dump_json, parse_json
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.predict_json import read_predict, write_predict, write_rows
from tidegate_server.protocol.request import InferRequest, RequestedOutput
from tidegate_server.protocol.signature import NUMPY_TYPES, Signature, TensorSpec
from tidegate_server.protocol.v2 import read_infer, write_infer

LIMITS = Limits(max_elements=40, max_depth=5)

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None))
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
parameters = st.fixed_dictionaries(
    {},
    optional={
        "binary_data_size": st.integers(-1, 20) | values,
        "binary_data": st.booleans() | values,
        "binary_data_output": st.booleans() | values,
        "classification": st.integers(-1, 4) | values,
        "timeout": st.integers(-1, 2**70) | values,
    },
)
# Near misses: whatever it is, put where data, shapes and names belong.
near_inputs = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["x", "y"]) | values,
        "datatype": st.sampled_from(list(NUMPY_TYPES)) | values,
        "shape": st.lists(st.integers(-1, 3), max_size=3) | values,
        "data": st.lists(scalars, max_size=4) | values,
        "parameters": parameters | values,
    },
)
near_outputs = st.fixed_dictionaries(
    {}, optional={"name": st.sampled_from(["scores", "text"]) | values, "parameters": parameters | values}
)
documents = (
    values
    | st.builds(lambda data: {"inputs": data}, values)
    | st.builds(lambda x, y: {"inputs": {"x": x, "y": y}}, values, values)
    | st.builds(lambda rows: {"rows": rows}, st.lists(st.dictionaries(st.sampled_from(["x", "y", "z"]), values)))
    | st.builds(
        lambda inputs, outputs, more: {"inputs": inputs, "outputs": outputs, "parameters": more},
        st.lists(near_inputs, max_size=3),
        st.lists(near_outputs, max_size=3) | values,
        parameters | values,
    )
)
# NaN too, as Python writes it: whatever isn't JSON has to be refused.
texts = documents.map(lambda document: json.dumps(document).encode())


def assert_fits_or_4xx(read: Callable[[], InferRequest], signature: Signature) -> InferRequest | None:
    refused: int | None = None
    try:
        request = read()
    except InvalidRequest as error:
        refused = error.status
    if refused is not None:
        assert refused in (400, 413)
        return None
    assert_fits(request, signature, LIMITS)
    return request


@given(
    body=texts | st.binary(max_size=60),
    tail=st.just(b"") | st.binary(max_size=30),
    header=st.none() | st.integers(-3, 3) | st.integers(0, 200),
    header_is_right=st.booleans(),
    signature=st.sampled_from(SIGNATURES),
)
@settings(max_examples=1500, deadline=None)
def test_any_bytes_under_any_length_header_fit_the_signature_or_are_a_4xx(
    body: bytes, tail: bytes, header: int | None, header_is_right: bool, signature: Signature
) -> None:
    header = len(body) if header_is_right else header
    assert_fits_or_4xx(lambda: read_infer(body + tail, header, signature, LIMITS), signature)


@given(body=texts, signature=st.sampled_from(SIGNATURES))
@settings(max_examples=800, deadline=None)
def test_any_question_to_predict_fits_the_signature_or_is_a_4xx(body: bytes, signature: Signature) -> None:
    request = assert_fits_or_4xx(lambda: read_predict(parse_json(body), signature, LIMITS), signature)
    arrays = request.arrays.values() if request else ()
    assert all(array.dtype.kind != "f" or np.isfinite(array).all() for array in arrays)


@given(data=st.data(), nested=st.booleans(), signature=st.sampled_from(SIGNATURES))
@settings(max_examples=400, deadline=None)
def test_arrays_arrive_as_they_were_sent(data: st.DataObject, nested: bool, signature: Signature) -> None:
    names = [spec.name for spec in signature.inputs]
    binary = data.draw(st.sets(st.sampled_from(names))) if names else set()
    arrays = data.draw(arrays_for(signature, finite=binary != set(names)))
    body, json_bytes = infer_body(signature, arrays, binary, nested=nested)
    request = read_infer(body, json_bytes, signature, LIMITS)
    assert all(same(request.arrays[name], arrays[name]) for name in names)
    if len(names) == 1 and signature.inputs[0].datatype != "BYTES" and arrays["x"].size and arrays["x"].ndim:
        body = raw(arrays["x"], signature.inputs[0].datatype)
        assert same(read_infer(body, 0, signature, LIMITS).arrays["x"], arrays["x"])


@given(data=st.data(), signature=st.sampled_from(ONE_INPUT))
@settings(max_examples=400, deadline=None)
def test_every_cut_of_a_body_is_refused(data: st.DataObject, signature: Signature) -> None:
    body, json_bytes = infer_body(signature, data.draw(arrays_for(signature)), data.draw(st.sampled_from([(), ("x",)])))
    with pytest.raises(InvalidRequest):
        read_infer(body[: data.draw(st.integers(0, len(body) - 1))], json_bytes, signature, LIMITS)


@given(data=st.data(), datatype=st.sampled_from(list(NUMPY_TYPES)), binary=st.booleans())
@settings(max_examples=400, deadline=None)
def test_an_answer_reads_back_as_the_array_it_was(data: st.DataObject, datatype: str, binary: bool) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 3), max_size=3)))
    count = int(np.prod(shape))
    one = elements(datatype, finite=not binary)
    array = array_of(datatype, shape, data.draw(st.lists(one, min_size=count, max_size=count)))
    signature = Signature((), (TensorSpec("y", datatype, (None,) * len(shape)),))
    request = InferRequest(
        {}, (RequestedOutput("y", binary),), data.draw(st.none() | st.text(st.characters(codec="utf-8")))
    )
    written = write_infer("m", "r", request, {"y": array}, signature)
    head, tail = written.body[: written.json_bytes], written.body[written.json_bytes :] if binary else b""
    assert (written.json_bytes is not None) == binary
    document = json.loads(head)
    assert document.get("id") == request.id
    (tensor,) = document["outputs"]
    assert (tensor["name"], tensor["datatype"], tensor["shape"]) == ("y", datatype, list(shape))
    assert same(array_of(datatype, shape, unpacked(tensor, tail, datatype)), array)


def unpacked(tensor: dict[str, Any], tail: bytes, datatype: str) -> list[Any]:
    if "data" in tensor:
        found: list[Any] = tensor["data"]
        return found
    assert tensor["parameters"] == {"binary_data_size": len(tail)}
    if datatype != "BYTES":
        if datatype == "BF16":
            return list(values_of(np.frombuffer(tail, np.uint16)))
        return list(np.frombuffer(tail, NUMPY_TYPES[datatype]))
    at, found = 0, []
    while at < len(tail):
        (length,) = struct.unpack_from("<I", tail, at)
        found.append(tail[at + 4 : at + 4 + length].decode())
        at += 4 + length
    return found


@given(data=st.data(), signature=st.sampled_from([one for one in SIGNATURES if one.inputs]))
@settings(max_examples=300, deadline=None)
def test_what_predict_answers_can_be_asked_again(data: st.DataObject, signature: Signature) -> None:
    arrays = data.draw(arrays_for(signature))
    again = parse_json(write_predict("m", "r", arrays))["outputs"]
    assert_same(read_predict({"inputs": again}, signature, LIMITS).arrays, arrays)
    if all(spec.shape and spec.shape[0] == -1 and len(arrays[spec.name]) for spec in signature.inputs):
        rows = parse_json(write_rows("m", "r", arrays, len(next(iter(arrays.values())))))["rows"]
        assert_same(read_predict({"rows": rows}, signature, LIMITS).arrays, arrays)


def assert_same(left: dict[str, Array], right: dict[str, Array]) -> None:
    assert left.keys() == right.keys()
    assert all(same(left[name], right[name]) for name in right)


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_any_bytes_are_json_or_a_400(body: bytes) -> None:
    with suppress(InvalidRequest):
        value = parse_json(body)
        assert parse_json(dump_json(value)) == value
