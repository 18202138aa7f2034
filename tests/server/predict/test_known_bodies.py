"""What is remembered of bodies of /predict changes nothing but the time: the predictor gives the same."""

import json
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate_server.errors import InvalidRequest
from tidegate_server.predict.classes import Classes, LabelledPredictor
from tidegate_server.predict.known_bodies import KnownPredictBodies
from tidegate_server.predict.predictor import ParsedRequest, PlainPredictor, Predictor
from tidegate_server.protocol.json_codec import dump_json, parse_json
from tidegate_server.protocol.known_bodies import MAX_FRAME_BYTES, MAX_FRAMES
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.signature import Signature, TensorSpec

LIMITS = Limits(max_elements=40, max_depth=5)
SCORES = TensorSpec("scores", "FP32", ("N", 2))
FLOATS = Signature((TensorSpec("x", "FP32", ("N", 2)),), (SCORES,))
WHOLE = Signature((TensorSpec("x", "INT64", ("N", 2)),), (SCORES,))
ANY_RANK = Signature((TensorSpec("x", "FP32", ()),), (SCORES,))
PLAIN = PlainPredictor()
LABELLED = LabelledPredictor(Classes(("no", "yes"), 1, "scores", "scores", "none"))
FORMS = (
    "%s",
    "[%s]",
    " [ %s ]\n",
    '{"inputs":[%s]}',
    '{ "inputs" : { "x" : [ %s ] } }',
    '{"inputs":{"x[0]":[%s]}}',
)


def alone(body: bytes, signature: Signature, predictor: Predictor = PLAIN) -> ParsedRequest:
    return predictor.read(parse_json(body), signature, LIMITS)


def outcome(read: Callable[[], ParsedRequest | None]) -> Any:
    """A body's request and its answer as comparable values, or the refusal's status and words."""
    try:
        parsed = read()
    except InvalidRequest as error:
        return error.status, str(error)
    if parsed is None:
        return None
    arrays = [
        {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in request.arrays.items()}
        for request in parsed.requests
    ]
    wanted = [(request.outputs, request.id, request.is_derived, request.padding) for request in parsed.requests]
    outputs = {"scores": np.full((parsed.requests[0].rows, 2), 0.25, np.float32)}
    return arrays, wanted, parsed.write("m", "r", [outputs]), dump_json(parsed.rows([outputs]))


def knowing(body: bytes, signature: Signature, predictor: Predictor = PLAIN) -> KnownPredictBodies:
    known = KnownPredictBodies(signature)
    try:
        parsed = alone(body, signature, predictor)
    except InvalidRequest:
        return known
    known.remember(body, parsed)
    return known


@pytest.mark.parametrize("predictor", [PLAIN, LABELLED], ids=["plain", "labelled"])
@pytest.mark.parametrize("form", FORMS[1:5])
def test_the_numbers_of_a_known_body_are_read_without_the_rest_of_it(form: str, predictor: Predictor) -> None:
    known = knowing((form % "[1,2]").encode(), FLOATS, predictor)
    body = (form % "[ 3,-4.5e1 ]").encode()
    found = known.read(body)
    assert found is not None
    assert outcome(lambda: found) == outcome(lambda: alone(body, FLOATS, predictor))


@given(
    numbers=st.lists(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), max_size=4),
    form=st.sampled_from(FORMS),
)
@settings(max_examples=400, deadline=None)
@pytest.mark.parametrize("signature", [FLOATS, WHOLE, ANY_RANK], ids=["floats", "whole numbers", "any rank"])
def test_other_numbers_in_a_known_body_mean_what_they_mean_alone(
    signature: Signature, numbers: list[Any], form: str
) -> None:
    known = knowing((form % "[1,2]").encode(), signature)
    body = (form % json.dumps(numbers)).encode()
    assert outcome(lambda: known.read(body)) in (None, outcome(lambda: alone(body, signature)))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param('{"inputs":[[1,2]],"inputs":[[1,2]]}', id="the field comes twice"),
        pytest.param('{"inputs":{"x":[[1,2]],"x":[[1,2]]}}', id="the name comes twice"),
        pytest.param('{"inputs":{"\\u0078":[[1,2]]}}', id="an escape"),
        pytest.param("[[1,2],[1,2]]", id="two rows"),
        pytest.param('{"rows":[{"x":[1,2]}]}', id="rows by name"),
        pytest.param("\ufeff[[1,2]]", id="a byte order mark"),
        pytest.param("[[1,2]]" + " " * MAX_FRAME_BYTES, id="a long frame"),
    ],
)
def test_a_body_whose_frame_is_in_doubt_isnt_remembered(body: str) -> None:
    alone(body.encode(), FLOATS)
    known = knowing(body.encode(), FLOATS)
    assert len(known) == 0
    assert known.read(body.encode()) is None


def test_a_bracket_in_a_name_isnt_taken_for_a_list() -> None:
    one = Signature((TensorSpec("x[0]", "FP32", ("N", 1)),), (SCORES,))
    known = knowing(b'{"inputs":{"x[0]":[[0]]}}', one)
    assert known.read(b'{"inputs":{"x[7]":[[0]]}}') is None
    assert known.read(b'{"inputs":{"x[0]":[[7]]}}') is None


@pytest.mark.parametrize("seed", range(10))
def test_whatever_was_read_before_a_body_means_what_it_means_alone(seed: int) -> None:
    """Memories are of mutated bodies too: what was let through once mustn't let anything else through."""
    random = Random(seed)
    memories = [(signature, KnownPredictBodies(signature)) for signature in (FLOATS, WHOLE, ANY_RANK)]
    read = 0
    for _ in range(400):
        signature, known = random.choice(memories)
        numbers = json.dumps([random.randint(-9, 9) for _ in range(random.choice((1, 2, 2, 2)))])
        body = bytearray(random.choice(FORMS).encode().replace(b"%s", numbers.encode()))
        for _ in range(random.choice((0, 0, 1, 2))):
            at = random.randrange(len(body))
            body[at : at + random.randint(0, 2)] = random.choice(
                (b"", b"[", b"]", b"{", b"}", b'"', b",", b"1", b":", b"[1,2]")
            )
        found = outcome(partial(known.read, bytes(body)))
        expected = outcome(partial(alone, bytes(body), signature))
        assert found in (None, expected), bytes(body)
        read += found is not None
        if isinstance(expected[0], list):
            known.remember(bytes(body), alone(bytes(body), signature))
    assert read > 50


def test_bodies_that_never_come_again_are_forgotten() -> None:
    known = KnownPredictBodies(FLOATS)
    for number in range(2 * MAX_FRAMES):
        body = b"[[1,2]]" + b" " * number
        known.remember(body, alone(body, FLOATS))
    assert len(known) <= MAX_FRAMES
