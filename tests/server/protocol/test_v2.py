"""The protocol's requests and answers, by tables."""

import json
from typing import Any

import numpy as np
import pytest

from tests.server.protocol.example_requests import array_of, infer_body, raw, same
from tidegate_server.errors import InvalidRequest, NotFiniteOutput
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.request import InferRequest, RequestedOutput
from tidegate_server.protocol.signature import NUMPY_TYPES, Signature, TensorSpec, blank_inputs
from tidegate_server.protocol.v2 import (
    EncodedResponse,
    model_metadata,
    model_names,
    read_infer,
    repository_index,
    server_metadata,
    write_infer,
)

LIMITS = Limits(max_elements=64)
X = TensorSpec("x", "FP32", ("N", 2))
WORDS = TensorSpec("words", "BYTES", ("N",))
SIGNATURE = Signature(
    (X, WORDS),
    (TensorSpec("scores", "FP32", ("N", 3)), TensorSpec("label", "INT64", ("N",)), TensorSpec("t", "BYTES", ())),
)
ONE = Signature((X,), SIGNATURE.outputs)
ARRAYS = {"x": np.array([[1, 2.5]], np.float32), "words": array_of("BYTES", (1,), ["ü"])}
VALUES = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2.5]}
OUTPUTS = {
    "scores": np.array([[0.25, 0.5, 0.25]], np.float32),
    "label": np.array([1]),
    "t": array_of("BYTES", (), ["yes"]),
}


def read(document: Any, signature: Signature = ONE) -> InferRequest:
    return read_infer(json.dumps(document).encode(), None, signature, LIMITS)


def refusal(document: Any, signature: Signature = ONE) -> str:
    with pytest.raises(InvalidRequest) as refused:
        read(document, signature)
    assert refused.value.status == 400
    return str(refused.value)


# --- requests


@pytest.mark.parametrize("binary", [(), ("x",), ("words",), ("x", "words")], ids=["none", "numbers", "text", "both"])
def test_inputs_may_be_json_or_bytes_each(binary: tuple[str, ...]) -> None:
    body, json_bytes = infer_body(SIGNATURE, ARRAYS, binary)
    request = read_infer(body, json_bytes, SIGNATURE, LIMITS)
    assert all(same(request.arrays[name], ARRAYS[name]) for name in ("x", "words"))


def test_a_length_header_over_json_alone_is_no_harm() -> None:
    body, _ = infer_body(SIGNATURE, ARRAYS)
    assert read_infer(body, len(body), SIGNATURE, LIMITS).arrays.keys() == {"x", "words"}


@pytest.mark.parametrize(
    ("fields", "outputs"),
    [
        pytest.param({}, [("scores", False, 0), ("label", False, 0), ("t", False, 0)], id="all by default"),
        pytest.param({"outputs": []}, [("scores", False, 0), ("label", False, 0), ("t", False, 0)], id="all for none"),
        pytest.param(
            {"parameters": {"binary_data_output": True}},
            [("scores", True, 0), ("label", True, 0), ("t", True, 0)],
            id="all as bytes",
        ),
        pytest.param(
            {"outputs": [{"name": "label"}, {"name": "scores", "parameters": None}]},
            [("label", False, 0), ("scores", False, 0)],
            id="the named ones in that order",
        ),
        pytest.param(
            {
                "parameters": {"binary_data_output": True},
                "outputs": [{"name": "label", "parameters": {"binary_data": False}}, {"name": "t"}],
            },
            [("label", False, 0), ("t", True, 0)],
            id="an output's own wish wins",
        ),
        pytest.param(
            {"outputs": [{"name": "scores", "parameters": {"classification": 2, "binary_data": True, "other": {}}}]},
            [("scores", True, 2)],
            id="classes",
        ),
    ],
)
def test_the_wanted_outputs_are(fields: dict[str, Any], outputs: list[tuple[str, bool, int]]) -> None:
    assert read({"inputs": [VALUES], **fields}).outputs == tuple(RequestedOutput(*output) for output in outputs)


@pytest.mark.parametrize(
    ("fields", "known"),
    [
        ({"id": "a"}, ("a", None)),
        ({"id": None, "parameters": None}, (None, None)),
        ({"parameters": {"timeout": 1_500_000}}, (None, 1.5)),
        ({"parameters": {"timeout": 0, "priority": 1, "sequence_id": 7, "whatever": [1]}}, (None, None)),
    ],
    ids=["an id", "no id", "a timeout in microseconds", "no timeout, and what has no meaning here"],
)
def test_a_request_may_carry(fields: dict[str, Any], known: tuple[Any, Any]) -> None:
    request = read({"inputs": [VALUES], **fields})
    assert (request.id, request.timeout_seconds) == known


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        pytest.param([], 'the body must be an object with a list "inputs"', id="a list"),
        pytest.param({}, 'the body must be an object with a list "inputs"', id="no inputs"),
        pytest.param({"inputs": {}}, 'the body must be an object with a list "inputs"', id="inputs by name"),
        pytest.param({"inputs": []}, "input x is missing", id="no input"),
        pytest.param({"inputs": [7]}, 'inputs[0] must be an object with a "name"', id="a number for an input"),
        pytest.param({"inputs": [VALUES, {"name": None}]}, 'inputs[1] must be an object with a "name"', id="no name"),
        pytest.param({"inputs": [VALUES, VALUES]}, "input x is given twice", id="twice"),
        pytest.param(
            {"inputs": [{"name": "y" * 100}]}, f"the model has no input '{'y' * 80}'…; it has x", id="another name"
        ),
        pytest.param({"inputs": [VALUES | {"datatype": "FP64"}]}, "input x: the datatype must be FP32", id="datatype"),
        pytest.param(
            {"inputs": [VALUES | {"datatype": ["FP32"]}]}, "input x: the datatype must be FP32", id="a list of it"
        ),
        pytest.param({"inputs": [VALUES | {"shape": 2}]}, 'input x: "shape" must be a list of sizes', id="a size"),
        pytest.param({"inputs": [VALUES | {"shape": [-1, 2]}]}, 'input x: "shape" must be a list of sizes', id="-1"),
        pytest.param(
            {"inputs": [VALUES | {"shape": [True, 2]}]}, 'input x: "shape" must be a list of sizes', id="true"
        ),
        pytest.param({"inputs": [VALUES | {"shape": [1.0, 2]}]}, 'input x: "shape" must be a list of sizes', id="1.0"),
        pytest.param(
            {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32"}]}, 'input x: "data" is missing', id="no data"
        ),
        pytest.param(
            {"inputs": [VALUES | {"parameters": []}]},
            'input x: "parameters" must be an object',
            id="a list of parameters",
        ),
        pytest.param({"inputs": [VALUES], "id": 7}, '"id" must be a string', id="a number for an id"),
        pytest.param(
            {"inputs": [VALUES], "parameters": 1},
            'the request: "parameters" must be an object',
            id="a number for parameters",
        ),
        pytest.param(
            {"inputs": [VALUES], "parameters": {"timeout": -1}},
            "the request: timeout must be a whole number of microseconds",
            id="a timeout in the past",
        ),
        pytest.param(
            {"inputs": [VALUES], "parameters": {"binary_data_output": 1}},
            "the request: binary_data_output must be true or false",
            id="a number for a flag",
        ),
        pytest.param({"inputs": [VALUES], "outputs": {}}, '"outputs" must be a list', id="outputs by name"),
        pytest.param({"inputs": [VALUES], "outputs": ["t"]}, 'outputs[0] must be an object with a "name"', id="a name"),
        pytest.param(
            {"inputs": [VALUES], "outputs": [{"name": "u"}]},
            "the model has no output 'u'; it has scores, label, t",
            id="another output",
        ),
        pytest.param(
            {"inputs": [VALUES], "outputs": [{"name": "t"}, {"name": "t"}]},
            '"outputs" names t twice',
            id="an output twice",
        ),
        pytest.param(
            {"inputs": [VALUES], "outputs": [{"name": "t", "parameters": 1}]},
            'output t: "parameters" must be an object',
            id="a number for an output's parameters",
        ),
        pytest.param(
            {"inputs": [VALUES], "outputs": [{"name": "scores", "parameters": {"classification": "2"}}]},
            "output scores: classification must be a number of classes",
            id="classes in a string",
        ),
        pytest.param(
            {"inputs": [VALUES], "outputs": [{"name": "t", "parameters": {"classification": 2}}]},
            "output t: classification needs numbers, the output is BYTES",
            id="classes of text",
        ),
    ],
)
def test_a_malformed_request_is_refused_with_a_sentence(document: Any, sentence: str) -> None:
    assert refusal(document) == sentence


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "the body isn't valid JSON (Input is a zero-length, empty document: line 1 column 1 (char 0))"),
        (
            b'{"inputs": [Infinity]}',
            "the body isn't valid JSON (unexpected character, expected a JSON value: line 1 column 13 (char 12)); "
            "infinity has no place in JSON, send the tensor in binary",
        ),
        (b"\xff", "the body isn't valid JSON ("),
        (b"[" * 100_000, "the body isn't valid JSON ("),
    ],
    ids=["empty", "infinity", "not UTF-8", "deep"],
)
def test_a_body_that_is_not_json_is_refused(body: bytes, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_infer(body, None, ONE, LIMITS)
    assert str(refused.value).startswith(sentence[:27])


def test_inputs_together_have_a_limit_too() -> None:
    limits = Limits(max_elements=2)
    body, _ = infer_body(SIGNATURE, ARRAYS)
    with pytest.raises(InvalidRequest) as refused:
        read_infer(body, None, SIGNATURE, limits)
    assert (refused.value.status, str(refused.value)) == (
        413,
        "the inputs together have more than 2 values (TIDEGATE_MAX_ELEMENTS); send fewer at once",
    )


# --- bytes after the JSON


def binary_refusal(tensor: dict[str, Any], tail: bytes, json_bytes: int | None = -1) -> str:
    head = json.dumps({"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", **tensor}]}).encode()
    with pytest.raises(InvalidRequest) as refused:
        read_infer(head + tail, len(head) if json_bytes == -1 else json_bytes, ONE, LIMITS)
    return str(refused.value)


@pytest.mark.parametrize(
    ("size", "tail", "sentence"),
    [
        pytest.param(8, 7, "input x: binary_data_size is 8, but 7 bytes are left", id="a body that ends early"),
        pytest.param(
            8, 9, "1 bytes are left after the last binary input; check binary_data_size", id="a byte too many"
        ),
        pytest.param(4, 4, "input x: FP32 of shape [1, 2] is 8 bytes, found 4", id="a size that isn't the shape's"),
        pytest.param(2**70, 8, "input x: binary_data_size must be a number of bytes", id="beyond 64 bits"),
        pytest.param(-8, 8, "input x: binary_data_size must be a number of bytes", id="below zero"),
        pytest.param(8.0, 8, "input x: binary_data_size must be a number of bytes", id="a fraction"),
        pytest.param("8", 8, "input x: binary_data_size must be a number of bytes", id="a string"),
        pytest.param(True, 1, "input x: binary_data_size must be a number of bytes", id="a boolean"),
    ],
)
def test_sizes_that_do_not_add_up_are_refused(size: Any, tail: int, sentence: str) -> None:
    assert binary_refusal({"parameters": {"binary_data_size": size}}, b"\0" * tail) == sentence


def test_binary_data_needs_its_header() -> None:
    sentence = binary_refusal({"parameters": {"binary_data_size": 0}}, b"", json_bytes=None)
    assert sentence == "input x: binary data needs the header Inference-Header-Content-Length"


def test_data_and_binary_data_exclude_each_other() -> None:
    sentence = binary_refusal({"data": [1, 2], "parameters": {"binary_data_size": 8}}, b"\0" * 8)
    assert sentence == "input x: has both data and binary_data_size; give one of them"


@pytest.mark.parametrize("json_bytes", [-1, 1000])
def test_a_header_beyond_the_body_is_refused(json_bytes: int) -> None:
    with pytest.raises(
        InvalidRequest, match=f"Inference-Header-Content-Length is {json_bytes}, but the body has 2 bytes"
    ):
        read_infer(b"{}", json_bytes, ONE, LIMITS)


# --- the body as the only input


@pytest.mark.parametrize(
    ("spec", "array"),
    [
        pytest.param(X, np.arange(6, dtype=np.float32).reshape(3, 2), id="rows from the length"),
        pytest.param(TensorSpec("x", "INT8", (2,)), np.array([1, -1], np.int8), id="a fixed shape"),
        pytest.param(TensorSpec("x", "FP64", ()), np.array(1.5), id="one value without dimensions"),
        pytest.param(TensorSpec("x", "FP64", ()), np.array([1.5, 2]), id="several values without dimensions"),
    ],
)
def test_a_raw_body_is_the_only_input(spec: TensorSpec, array: Any) -> None:
    signature = Signature((spec,), SIGNATURE.outputs)
    request = read_infer(raw(array), 0, signature, LIMITS)
    assert same(request.arrays["x"], array)
    assert request.outputs == tuple(RequestedOutput(name, binary=True) for name in ("scores", "label", "t"))


@pytest.mark.parametrize("dimensions", [(None,), (1, 1), ()], ids=["a list", "one cell", "no dimensions"])
def test_a_raw_body_of_text_is_one_value(dimensions: tuple[int | None, ...]) -> None:
    signature = Signature((TensorSpec("x", "BYTES", dimensions),), SIGNATURE.outputs)
    array = read_infer("grüß".encode(), 0, signature, LIMITS).arrays["x"]
    assert same(array, array_of("BYTES", (1,) * len(dimensions), ["grüß"]))


@pytest.mark.parametrize(
    ("inputs", "body", "sentence"),
    [
        pytest.param(
            SIGNATURE.inputs,
            b"",
            "Inference-Header-Content-Length 0 is for models with one input, this one has 2",
            id="two",
        ),
        pytest.param((X,), b"\0" * 9, "input x: FP32 of shape [-1, 2] can't be 9 bytes", id="no whole row"),
        pytest.param((X,), b"", "input x: FP32 of shape [-1, 2] can't be 0 bytes", id="nothing"),
        pytest.param(
            (TensorSpec("x", "INT8", (None, None)),),
            b"\0",
            "input x: Inference-Header-Content-Length 0 can't say a shape with several variable dimensions; "
            "send JSON first",
            id="two unknown sizes",
        ),
        pytest.param(
            (TensorSpec("x", "BYTES", (2,)),),
            b"a",
            "input x: Inference-Header-Content-Length 0 is one value, but the model's shape is [2]",
            id="two texts",
        ),
        pytest.param(
            (TensorSpec("x", "BYTES", (None,)),),
            b"\xff",
            "input x: a value of BYTES isn't UTF-8; the model takes text only",
            id="not text",
        ),
    ],
)
def test_a_raw_body_that_cannot_be_the_input_is_refused(inputs: Any, body: bytes, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_infer(body, 0, Signature(inputs, ()), LIMITS)
    assert str(refused.value) == sentence


# --- answers


def answer(
    *wanted: RequestedOutput, outputs: Any = OUTPUTS, labels: tuple[str, ...] = (), name: str | None = None
) -> EncodedResponse:
    return write_infer("m", "r", InferRequest({}, wanted, name), outputs, SIGNATURE, labels)


def test_an_answer_has_the_wanted_outputs_in_the_wanted_order() -> None:
    written = answer(RequestedOutput("t"), RequestedOutput("scores"), name="a")
    assert written.json_bytes is None
    assert json.loads(written.body) == {
        "model_name": "m",
        "model_version": "r",
        "id": "a",
        "outputs": [
            {"name": "t", "datatype": "BYTES", "shape": [], "data": ["yes"]},
            {"name": "scores", "datatype": "FP32", "shape": [1, 3], "data": [0.25, 0.5, 0.25]},
        ],
    }


def test_outputs_may_be_json_or_bytes_each() -> None:
    written = answer(
        RequestedOutput("t", binary=True), RequestedOutput("label"), RequestedOutput("scores", binary=True)
    )
    head, tail = written.body[: written.json_bytes], written.body[written.json_bytes :]
    assert json.loads(head) == {
        "model_name": "m",
        "model_version": "r",
        "outputs": [
            {"name": "t", "datatype": "BYTES", "shape": [], "parameters": {"binary_data_size": 7}},
            {"name": "label", "datatype": "INT64", "shape": [1], "data": [1]},
            {"name": "scores", "datatype": "FP32", "shape": [1, 3], "parameters": {"binary_data_size": 12}},
        ],
    }
    assert tail == b"\3\0\0\0yes" + OUTPUTS["scores"].tobytes()


def test_nan_goes_out_as_bytes_and_not_as_json() -> None:
    outputs = OUTPUTS | {"scores": np.array([np.nan], np.float32)}
    with pytest.raises(NotFiniteOutput, match="output scores"):
        answer(RequestedOutput("t"), RequestedOutput("scores"), outputs=outputs)
    assert answer(RequestedOutput("t"), RequestedOutput("scores", binary=True), outputs=outputs).body.endswith(
        b"\xc0\x7f"
    )


def test_an_id_that_says_null_is_not_taken_for_nan() -> None:
    assert json.loads(answer(RequestedOutput("scores"), name="null").body)["id"] == "null"


def test_bytes_that_json_cannot_carry_are_refused_with_the_way_out() -> None:
    outputs = {"t": array_of("BYTES", (1,), [b"\xff"])}
    with pytest.raises(InvalidRequest, match=r"output t: a value isn't UTF-8 text, .*; ask for binary output"):
        answer(RequestedOutput("t"), outputs=outputs)
    assert answer(RequestedOutput("t", binary=True), outputs=outputs).body.endswith(b"\1\0\0\0\xff")


@pytest.mark.parametrize(
    ("array", "classes", "labels", "shape", "data"),
    [
        pytest.param([[1.5, 3, 0.25]], 2, (), [1, 2], ["3.0:1", "1.5:0"], id="of one row"),
        pytest.param([[1, 2], [4, 3]], 1, (), [2, 1], ["2.0:1", "4.0:0"], id="of each row"),
        pytest.param([7, 7, 8], 3, (), [3], ["8.0:2", "7.0:0", "7.0:1"], id="equal ones in their order"),
        pytest.param(
            [7, 8], 9, ("cat",), [2], ["8.0:1", "7.0:0:cat"], id="all there are, with the labels that there are"
        ),
    ],
)
def test_the_best_classes(array: Any, classes: int, labels: Any, shape: list[int], data: list[str]) -> None:
    outputs = {"scores": np.array(array, np.float32)}
    written = answer(RequestedOutput("scores", classes=classes), outputs=outputs, labels=labels)
    assert json.loads(written.body)["outputs"] == [
        {"name": "scores", "datatype": "BYTES", "shape": shape, "data": data}
    ]


def test_nan_has_no_place_among_classes() -> None:
    with pytest.raises(NotFiniteOutput, match="output scores"):
        answer(RequestedOutput("scores", binary=True, classes=1), outputs={"scores": np.array([np.nan], np.float32)})


# --- metadata


def test_the_metadata_says_what_is_served() -> None:
    assert server_metadata("1.2") == {
        "name": "tidegate-server",
        "version": "1.2",
        "extensions": ["binary_tensor_data", "classification", "statistics"],
    }
    assert model_metadata("m", "r", ONE, {"sha256": "ab"}) == {
        "name": "m",
        "versions": ["r"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
        "outputs": [
            {"name": "scores", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "t", "datatype": "BYTES", "shape": []},
        ],
        "properties": {"sha256": "ab"},
    }
    assert "properties" not in model_metadata("m", "r", ONE)
    assert model_names("m") == {"models": ["m"]}
    assert repository_index("m", "r", ready=True) == [{"name": "m", "version": "r", "state": "READY", "reason": ""}]
    assert repository_index("m", "r", ready=False)[0]["state"] == "UNAVAILABLE"


@pytest.mark.parametrize("datatype", NUMPY_TYPES)
def test_blank_inputs_are_of_the_smallest_shape_with_anything_in_it(datatype: str) -> None:
    signature = Signature((TensorSpec("x", datatype, ("N", 2)), TensorSpec("y", datatype, ())), ())
    assert {name: (array.dtype, array.shape) for name, array in blank_inputs(signature).items()} == {
        "x": (NUMPY_TYPES[datatype], (1, 2)),
        "y": (NUMPY_TYPES[datatype], ()),
    }
