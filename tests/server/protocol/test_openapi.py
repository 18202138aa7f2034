"""The document agrees with the code that reads and writes, for every kind of model; and the page with the document."""

import re
from typing import Any

import jsonschema_rs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.protocol.example_requests import SIGNATURES, array_of, arrays_for, infer_body
from tidegate_server.errors import InvalidRequest
from tidegate_server.predict.text_encoder import StringEncoder
from tidegate_server.predict.text_predictor import OutputReader, TextPredictor
from tidegate_server.protocol.json_codec import dump_json, parse_json
from tidegate_server.protocol.limits import Limits, NotFinite
from tidegate_server.protocol.openapi import MAX_EXAMPLE_ELEMENTS, openapi_document, page
from tidegate_server.protocol.predict_json import Wording, read_predict, write_predict, write_rows
from tidegate_server.protocol.request import InferRequest, RequestedOutput
from tidegate_server.protocol.signature import NUMPY_TYPES, Signature, TensorSpec, blank_inputs
from tidegate_server.protocol.v2 import (
    model_metadata,
    model_names,
    read_infer,
    repository_index,
    server_metadata,
    write_infer,
)

LIMITS = Limits()
ANSWERED = Signature(
    (),
    (TensorSpec("scores", "FP32", ("N", 3)), TensorSpec("text", "BYTES", ("N",)), TensorSpec("is", "BOOL", ("N",))),
)
OUTPUTS = {
    "scores": np.array([[0.1, 0.7, 0.2]], np.float32),
    "text": array_of("BYTES", (1,), ["yes"]),
    "is": np.array([True]),
}


def document(
    signature: Signature, *, secured: bool = False, allow_nan: bool = False, example: Any = None
) -> dict[str, Any]:
    made = openapi_document(
        "m",
        "r",
        signature,
        server_version="1.2",
        secured=secured,
        allow_nan=allow_nan,
        answered=blank_inputs(signature),
        example=example,
    )
    assert parse_json(dump_json(made)) == made, "it's JSON"
    return made


def fits(made: dict[str, Any], schema: str, value: Any) -> bool:
    root = {"$ref": f"#/components/schemas/{schema}", "components": made["components"]}
    return jsonschema_rs.Draft202012Validator(root).is_valid(value)


@pytest.mark.parametrize("secured", [False, True])
@pytest.mark.parametrize("signature", SIGNATURES)
def test_every_reference_leads_somewhere_and_operations_have_names_of_their_own(
    signature: Signature, secured: bool
) -> None:
    made = document(signature, secured=secured)
    for place in set(re.findall(rb'"\$ref":"#/([^"]+)"', dump_json(made))):
        found: Any = made
        for part in place.decode().split("/"):
            found = found[part]
    operations = [
        operation["operationId"]
        for path in made["paths"].values()
        for method, operation in path.items()
        if method != "parameters"
    ]
    assert len(operations) == len(set(operations))


@pytest.mark.parametrize("signature", SIGNATURES)
def test_the_examples_are_valid_and_can_be_read(signature: Signature) -> None:
    made = document(signature)
    infer = made["paths"]["/v2/models/{model_name}/infer"]["post"]["requestBody"]["content"]["application/json"]
    predict = made["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert fits(made, "InferRequest", infer["example"])
    assert fits(made, "PredictRequest", predict["example"])
    blanks = blank_inputs(signature)
    for request in (
        read_infer(dump_json(infer["example"]), None, signature, LIMITS),
        read_predict(predict["example"], signature, LIMITS),
    ):
        assert {name: array.tolist() for name, array in request.arrays.items()} == {
            name: array.tolist() for name, array in blanks.items()
        }


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_the_largest_number_is_valid_however_short_it_is_written(datatype: str) -> None:
    spec = TensorSpec("x", datatype, ("N",))
    largest = np.finfo(NUMPY_TYPES[datatype]).max  # type: ignore[type-var] # of the table's rows, these are floats
    for value in (float(largest), parse_json(dump_json(np.array([largest])))[0]):
        body = {"inputs": [{"name": "x", "datatype": datatype, "shape": [1], "data": [value]}]}
        assert fits(document(Signature((spec,), ())), "InferRequest", body)


@pytest.mark.parametrize("allow_nan", [False, True])
def test_null_is_valid_where_it_is_a_missing_value(allow_nan: bool) -> None:
    signature = Signature((TensorSpec("x", "FP32", ("N", 2)), TensorSpec("n", "INT64", ("N",))), ())
    made = document(signature, allow_nan=allow_nan)

    def is_valid(x: Any, n: Any) -> bool:
        return fits(made, "PredictRequest", {"rows": [{"x": [x, 1.5], "n": n}]})

    assert (is_valid(0.5, 1), is_valid(None, 1), is_valid(0.5, None)) == (True, allow_nan, False)
    tensors = [
        {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [None, 1.5]},
        {"name": "n", "datatype": "INT64", "shape": [1], "data": [1]},
    ]
    assert fits(made, "InferRequest", {"inputs": tensors}) == allow_nan


@given(data=st.data(), signature=st.sampled_from(SIGNATURES), nested=st.booleans())
@settings(max_examples=150, deadline=None)
def test_what_the_server_takes_is_valid(data: st.DataObject, signature: Signature, nested: bool) -> None:
    arrays = data.draw(arrays_for(signature))
    body, _ = infer_body(signature, arrays, nested=nested, outputs=[{"name": "scores"}], id="7")
    made = document(signature)
    assert fits(made, "InferRequest", parse_json(body))
    assert fits(made, "PredictRequest", {"inputs": parse_json(write_predict("m", "r", arrays))["outputs"]})


@pytest.mark.parametrize(
    "change",
    [
        {"name": "z"},
        {"datatype": "FP64"},
        {"shape": [2]},
        {"shape": [1, 3]},
        {"data": ["1", 2]},
        {"data": [1]},
        {"data": [[1, 2, 3]]},
        {"data": [1e39, 1]},
    ],
    ids=str,
)
def test_what_the_server_refuses_is_not_valid(change: dict[str, Any]) -> None:
    signature = Signature((TensorSpec("x", "FP32", ("N", 2)),), ANSWERED.outputs)
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    made = document(signature)
    assert fits(made, "InferRequest", {"inputs": [tensor]})
    assert not fits(made, "InferRequest", {"inputs": [tensor | change]})


@pytest.mark.parametrize(
    "wanted",
    [
        (RequestedOutput("scores"), RequestedOutput("text"), RequestedOutput("is")),
        (RequestedOutput("scores", binary=True), RequestedOutput("text", binary=True)),
        (RequestedOutput("scores", classes=2), RequestedOutput("is", binary=True)),
        (RequestedOutput("scores", classes=2, binary=True),),
    ],
    ids=["as JSON", "as bytes", "classes", "classes as bytes"],
)
def test_what_the_server_answers_is_valid(wanted: tuple[RequestedOutput, ...]) -> None:
    written = write_infer("m", "r", InferRequest({}, wanted, "7"), OUTPUTS, ANSWERED, labels=("a", "b"))
    assert fits(document(ANSWERED), "InferAnswer", parse_json(written.body[: written.json_bytes]))


@pytest.mark.parametrize("not_finite", ["Auto", "string"])
def test_what_json_cannot_carry_is_in_the_schema_of_answers(not_finite: NotFinite) -> None:
    outputs = OUTPUTS | {"scores": np.array([[np.nan, np.inf, 0.5]], np.float32)}
    request = InferRequest({}, (RequestedOutput("scores"),))
    written = write_infer("m", "r", request, outputs, ANSWERED, not_finite=not_finite)
    made = document(ANSWERED)
    assert fits(made, "InferAnswer", parse_json(written.body))
    assert fits(made, "PredictAnswer", parse_json(write_predict("m", "r", outputs, Wording({}, not_finite))))


def test_everything_else_that_the_server_answers_is_valid() -> None:
    made = document(ANSWERED)
    answers = {
        "ServerMetadata": server_metadata("1.2"),
        "Model": model_metadata("m", "r", ANSWERED, {"sha256": "ab"}),
        "ModelNames": model_names("m"),
        "Index": repository_index("m", "r", ready=False),
    }
    assert {schema: fits(made, schema, answer) for schema, answer in answers.items()} == dict.fromkeys(answers, True)
    assert fits(made, "PredictAnswer", parse_json(write_predict("m", "r", OUTPUTS)))
    assert fits(made, "PredictAnswer", parse_json(write_rows("m", "r", OUTPUTS, 1)))


def test_callers_without_a_key_are_described_only_where_keys_are_asked_for() -> None:
    for secured in (False, True):
        made = document(ANSWERED, secured=secured)
        operation = made["paths"]["/predict"]["post"]
        assert ("401" in operation["responses"], "security" in operation) == (secured, secured)
        assert "security" not in made["paths"]["/v2/health/ready"]["get"]


def test_an_example_that_is_given_stands_first() -> None:
    made = document(SIGNATURES[0], example={"text": "a good day"})
    assert made["x-model"]["examples"]["predict"] == {"text": "a good day"}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"text": "a good day"}, id="a text"),
        pytest.param({"texts": ["a good day", "a bad one"]}, id="several"),
        pytest.param({"inputs": "a good day"}, id="as an input"),
        pytest.param({"inputs": ["a good day"]}, id="several as inputs"),
        pytest.param("a good day", id="bare"),
        pytest.param(["a good day"], id="several, bare"),
        pytest.param({"text": 7}, id="a number"),
        pytest.param({"texts": []}, id="none"),
        pytest.param({"texts": "a good day"}, id="one where several go"),
        pytest.param({"text": "a", "texts": ["b"]}, id="two forms at once"),
        pytest.param(["a", 7], id="a number among them"),
    ],
)
def test_a_server_for_text_takes_what_its_document_says_and_nothing_else(body: Any) -> None:
    ids = Signature((TensorSpec("ids", "INT64", ("N", "M")),), ())
    predictor = TextPredictor(StringEncoder(TensorSpec("text", "BYTES", ("N",))), OutputReader())
    made = openapi_document("m", "r", ids, server_version="1", secured=False, body_schemas=predictor.body_schemas)
    try:
        predictor.read(body, ids, LIMITS)
        taken = True
    except InvalidRequest:
        taken = False

    assert fits(made, "PredictRequest", body) == taken


@pytest.mark.parametrize("datatype", ["FP16", "FP32"])
def test_a_number_is_valid_as_long_as_it_is_not_rounded_to_infinity(datatype: str) -> None:
    kind = np.dtype(NUMPY_TYPES[datatype])
    infinite = {"FP16": 65520.0, "FP32": 3.4028235677973366e38}[datatype]
    made = document(Signature((TensorSpec("x", datatype, ("N",)),), ()))
    for value, expected in ((np.nextafter(infinite, 0), True), (infinite, False)):
        body = {"inputs": [{"name": "x", "datatype": datatype, "shape": [1], "data": [float(value)]}]}
        assert fits(made, "InferRequest", body) is expected
        with np.errstate(over="ignore"):
            assert bool(np.isfinite(np.array(value).astype(kind))) is expected


def test_inputs_that_nobody_would_read_are_no_example() -> None:
    made = document(Signature((TensorSpec("x", "FP32", (None, MAX_EXAMPLE_ELEMENTS + 1)),), ANSWERED.outputs))
    assert made["x-model"]["examples"] == {"predict": None, "v2/models/m/infer": None}
    assert "example" not in made["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]


def test_the_page_needs_nothing_from_elsewhere_and_asks_for_its_document() -> None:
    html = page("openapi.json")
    assert 'const documentUrl = "openapi.json";' in html
    assert not re.findall(r"https?://|src=|@import|url\(", html)


def test_an_address_cannot_end_the_pages_script() -> None:
    assert "</script><script>" not in page("</script><script>")


def test_without_inputs_that_the_model_has_answered_there_is_no_example() -> None:
    made = openapi_document("m", "r", SIGNATURES[0], server_version="1", secured=False)
    assert made["x-model"]["examples"] == {"predict": None, "v2/models/m/infer": None}
