"""Requests are taken as people have them: bodies, bodies with a path, the payload log's events, or made up."""

import json
from random import Random

import pytest

from tidegate.errors import TidegateError
from tidegate.model.revision import ModelFacts, Tensor
from tidegate.rehearsal.payloads import MADE_UP, Payload, example_requests, made_up_requests, read_requests

TENSOR = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [1]}]}
PROTOCOL, PREDICT = "/v2/models/m/infer", "/predict"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (TENSOR, (PROTOCOL, TENSOR)),
        ({"text": "hello"}, (PREDICT, {"text": "hello"})),
        ({"inputs": [[1, 2]]}, (PREDICT, {"inputs": [[1, 2]]})),
        ({"path": "/v1/models/m:predict", "body": {"instances": [1]}}, ("/v1/models/m:predict", {"instances": [1]})),
        (
            {"specversion": "1.0", "type": "org.kubeflow.serving.inference.request", "data": TENSOR},
            (PROTOCOL, TENSOR),
        ),
    ],
    ids=["of the protocol", "text", "rows", "with a path", "an event"],
)
def test_a_line_is_a_request(line: object, expected: tuple[str, object]) -> None:
    (payload,) = read_requests([json.dumps(line), "\n"], "m", "file")
    assert (payload.path, json.loads(payload.body)) == expected


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([], "file has no requests"),
        (['{"a": 1}', "nonsense"], "file, line 2: "),
        (["[1]"], r"file, line 1: '\[1\]' is not an object"),
        (['{"path": "x", "body": 1}'], "line 1: path: 'x' doesn't begin with /"),
        (['{"specversion": "1.0", "type": "inference.response"}'], "a CloudEvent of the type 'inference.response'"),
    ],
)
def test_what_is_no_request_is_refused_with_its_line(lines: list[str], sentence: str) -> None:
    with pytest.raises(TidegateError, match=sentence):
        read_requests(lines, "m", "file")


def test_examples_of_a_self_test_are_bodies_of_predict() -> None:
    assert example_requests({"cases": [{"body": {"text": "a"}, "answer": {}}, {"other": 1}]}) == [
        Payload("/predict", b'{"text":"a"}')
    ]


def test_made_up_requests_fit_the_signature_and_are_the_same_each_time() -> None:
    inputs = (Tensor("x", "FP32", (-1, 3)), Tensor("n", "INT64", (-1, -1)), Tensor("t", "BYTES", (1,)))
    made = made_up_requests(ModelFacts("", inputs, ()), "m", Random(1))
    assert made == made_up_requests(ModelFacts("", inputs, ()), "m", Random(1))
    tensors = json.loads(made[0].body)["inputs"]
    assert [(each["name"], each["datatype"], each["shape"], len(each["data"])) for each in tensors] == [
        ("x", "FP32", [1, 3], 3),
        ("n", "INT64", [1, 4], 4),
        ("t", "BYTES", [1], 1),
    ]
    assert (len(made), len({each.body for each in made}), {each.path for each in made}) == (
        MADE_UP,
        MADE_UP,
        {PROTOCOL},
    )
