"""What is remembered of bodies and answers changes nothing but the time: readers and writers give the same."""

import json
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.protocol.example_requests import SCORES, SIGNATURES, TEXT, array_of, elements
from tests.server.protocol.mutations import Case, mutated, valid_case
from tidegate_server.errors import InvalidRequest
from tidegate_server.protocol.known_bodies import MAX_FRAMES, KnownBodies
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.prepared_answers import PreparedAnswers
from tidegate_server.protocol.request import InferRequest, RequestedOutput
from tidegate_server.protocol.signature import NUMPY_TYPES, Signature, TensorSpec
from tidegate_server.protocol.v2 import read_infer, write_infer

LIMITS = Limits(max_elements=40, max_depth=5)
FLOATS = Signature((TensorSpec("x", "FP32", ("N", 2)),), (SCORES,))
WHOLE = Signature((TensorSpec("x", "INT64", ("N", 2)),), (SCORES,))


def body_of(numbers: str, signature: Signature = FLOATS, **more: Any) -> bytes:
    tensor = {"name": "x", "datatype": signature.inputs[0].datatype, "shape": [1, 2]}
    frame = json.dumps({**more, "inputs": [tensor]}, separators=(",", ":"))
    return frame.replace("[1,2]}", f'[1,2],"data":{numbers}}}').encode()


BINARY_HEAD = body_of("[1,2]").replace(b'"data":[1,2]', b'"parameters":{"binary_data_size":8}')


def outcome(read: Any) -> Any:
    """A request as comparable values, or the refusal's status and words."""
    try:
        request = read()
    except InvalidRequest as error:
        return error.status, str(error)
    if request is None:
        return None
    arrays = {name: (array.dtype.str, array.shape, array.tolist()) for name, array in request.arrays.items()}
    return arrays, request.outputs, request.id, request.timeout_seconds, request.is_derived, request.padding


def learn(known: KnownBodies, case: Case) -> None:
    try:
        request = read_infer(case.body, case.json_bytes, case.signature, LIMITS)
    except InvalidRequest:
        return
    known.remember(case.body, case.json_bytes, request)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_was_read_before_a_body_means_what_it_means_alone(seed: int) -> None:
    """Memories are of mutated bodies too: what was let through once mustn't let anything else through."""
    random = Random(seed)
    memories = {id(signature): KnownBodies(signature) for signature in SIGNATURES}
    remembered = 0
    for _ in range(60):
        case = valid_case(random)
        known = memories[id(case.signature)]
        for each in (case, *(mutated(case, random) for _ in range(3)), case):
            alone = outcome(lambda each=each: read_infer(each.body, each.json_bytes, each.signature, LIMITS))
            found = outcome(lambda each=each, known=known: known.read(each.body, each.json_bytes))
            assert found in (None, alone), each
            remembered += found is not None
            learn(known, each)
    assert remembered > 20


@given(numbers=st.lists(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
@pytest.mark.parametrize("signature", [FLOATS, WHOLE], ids=["floats", "whole numbers"])
def test_other_numbers_in_a_known_body_mean_what_they_mean_alone(signature: Signature, numbers: list[Any]) -> None:
    known = KnownBodies(signature)
    first = body_of("[1,2]", signature)
    known.remember(first, None, read_infer(first, None, signature, LIMITS))
    body = body_of(json.dumps(numbers), signature)
    found = outcome(lambda: known.read(body, None))
    assert found in (None, outcome(lambda: read_infer(body, None, signature, LIMITS)))


@pytest.mark.parametrize(
    "numbers",
    ["[3,4.5]", "[-0.0,1e3]", "[ 3 , 4 ]", "[3,340282346638528859811704183484516925440]"],
)
def test_the_numbers_of_a_known_body_are_read_without_the_rest_of_it(numbers: str) -> None:
    known = KnownBodies(FLOATS)
    first = body_of("[1,2]", id="7", parameters={"timeout": 5})
    known.remember(first, None, read_infer(first, None, FLOATS, LIMITS))
    body = body_of(numbers, id="7", parameters={"timeout": 5})
    found = known.read(body, None)
    assert found is not None
    assert outcome(lambda: found) == outcome(lambda: read_infer(body, None, FLOATS, LIMITS))


@pytest.mark.parametrize(
    "numbers",
    ["[true,1]", "[null,1]", '["1",2]', "[1]", "[1,2,3]", "[1,[2]]", "[1,{}]", "[1e39,2]", "[1,2", "[1,,2]", '["]",2]'],
)
def test_what_isnt_as_many_numbers_is_left_to_the_protocols_reader(numbers: str) -> None:
    known = KnownBodies(FLOATS)
    first = body_of("[1,2]")
    known.remember(first, None, read_infer(first, None, FLOATS, LIMITS))
    assert known.read(body_of(numbers), None) is None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            body_of("[1,2]").replace(b'"data"', b'"d\\u0061ta":[3,4],"data"'), id="the name comes twice, escaped"
        ),
        pytest.param(body_of('[1,2],"data":[1,2]'), id="the name comes twice"),
        pytest.param(body_of("[[1,2]]"), id="lists in lists"),
        pytest.param(body_of("[1,2]", id="x" * 2000), id="a long frame"),
    ],
)
def test_a_body_whose_frame_is_in_doubt_isnt_remembered(body: bytes) -> None:
    known = KnownBodies(FLOATS)
    known.remember(body, None, read_infer(body, None, FLOATS, LIMITS))
    assert known.read(body, None) is None


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"\xef\xbb\xbf" + BINARY_HEAD, id="behind a byte order mark"),
        pytest.param(BINARY_HEAD.replace(b'{"inputs"', b'{"parameters":{"a":NaN},"inputs"'), id="with a NaN"),
    ],
)
def test_json_that_only_the_lenient_reader_takes_is_remembered_before_binary_tensors(head: bytes) -> None:
    known = KnownBodies(FLOATS)
    first, second = (head + np.array(values, np.float32).tobytes() for values in ([1, 2], [3, 4]))
    known.remember(first, len(head), read_infer(first, len(head), FLOATS, LIMITS))
    expected = outcome(lambda: read_infer(second, len(head), FLOATS, LIMITS))
    assert outcome(lambda: known.read(second, len(head))) == expected


def test_bodies_that_never_come_again_are_forgotten() -> None:
    known = KnownBodies(FLOATS)
    for number in range(3 * MAX_FRAMES):
        body = body_of("[1,2]", id=str(number))
        known.remember(body, None, read_infer(body, None, FLOATS, LIMITS))
    assert len(known) <= MAX_FRAMES


@given(data=st.data(), datatype=st.sampled_from(list(NUMPY_TYPES)), rows=st.integers(0, 3))
@settings(max_examples=300, deadline=None)
@pytest.mark.parametrize("not_finite", ["Auto", "null", "string", "refuse"])
def test_a_prepared_answer_is_byte_for_byte_the_protocols(
    data: st.DataObject, datatype: str, rows: int, not_finite: Any
) -> None:
    signature = Signature((), (TensorSpec('sc"ö', datatype, ("N", 3)), TEXT))
    values = data.draw(st.lists(elements(datatype, finite=False), min_size=3 * rows, max_size=3 * rows))
    outputs = {'sc"ö': array_of(datatype, (rows, 3), values), "text": np.array(["a"], np.object_)}
    names = data.draw(st.sampled_from([('sc"ö',), ("text",), ('sc"ö', "text")]))
    wanted = tuple(
        RequestedOutput(name, data.draw(st.booleans()), data.draw(st.sampled_from([0, 0, 0, 2]))) for name in names
    )
    request = InferRequest({}, wanted, data.draw(st.none() | st.just('7"')))
    prepared = PreparedAnswers("digits", "r7", signature, not_finite)
    for _ in range(2):
        found = prepared.write(request, outputs)
        if found is not None:
            assert found == write_infer("digits", "r7", request, outputs, signature, (), not_finite)


def test_numbers_are_answered_from_what_is_prepared() -> None:
    prepared = PreparedAnswers("digits", "r7", FLOATS, "Auto")
    outputs = {"scores": np.array([[0.5, 0.25, 0.25]], np.float32)}
    for binary in (False, True):
        request = InferRequest({}, (RequestedOutput("scores", binary),))
        assert prepared.write(request, outputs) == write_infer("digits", "r7", request, outputs, FLOATS)


def test_nan_is_left_to_the_protocols_writer_unless_it_may_go_out_as_null() -> None:
    outputs = {"scores": np.array([[0.5, np.nan, 0.25]], np.float32)}
    request = InferRequest({}, (RequestedOutput("scores"),))
    assert PreparedAnswers("digits", "r7", FLOATS, "Auto").write(request, outputs) is None
    written = PreparedAnswers("digits", "r7", FLOATS, "null").write(request, outputs)
    assert written == write_infer("digits", "r7", request, outputs, FLOATS, (), "null")
