"""JSON to arrays and back, by tables and by properties: any JSON value gives arrays or a 4xx, never anything else."""

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate_server.errors import InvalidRequest, NotFiniteOutput
from tidegate_server.protocol import infer_answer, parse_json, plain_answer, read_infer, read_plain
from tidegate_server.signature import NUMPY_TYPES, Signature, TensorSpec, blank_inputs
from tidegate_server.tensors import array_from_json, json_from_array

ANY = TensorSpec("x", "FP32", ("N", None))
ONE_INPUT = [Signature((TensorSpec("x", datatype, ("N", 2)),), (ANY,)) for datatype in NUMPY_TYPES]
SIGNATURES = [
    *ONE_INPUT,
    Signature((TensorSpec("x", "FP32", ()),), (ANY,)),
    Signature((TensorSpec("x", "INT8", (2,)), TensorSpec("y", "BYTES", ("N",))), (ANY,)),
    Signature((), (ANY,)),
]

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None))
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
# Near misses: whatever it is, put where data, shapes and names belong.
near = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["x", "y"]) | values,
        "datatype": st.sampled_from(list(NUMPY_TYPES)) | values,
        "shape": st.lists(st.integers(-1, 3), max_size=3) | values,
        "data": st.lists(scalars, max_size=4) | values,
    },
)
documents = (
    values
    | st.builds(lambda data: {"inputs": data}, values)
    | st.builds(lambda x, y: {"inputs": {"x": x, "y": y}}, values, values)
    | st.builds(lambda tensors, outputs: {"inputs": tensors, "outputs": outputs}, st.lists(near, max_size=3), values)
)


@pytest.mark.parametrize("read", [read_plain, read_infer])
@given(document=documents, signature=st.sampled_from(SIGNATURES))
@settings(max_examples=400, deadline=None)
def test_any_json_gives_arrays_that_fit_the_signature_or_a_4xx(read: Any, document: Any, signature: Signature) -> None:
    refused: int | None = None
    try:
        request = read(document, signature)
    except InvalidRequest as error:
        refused = error.status
    if refused is not None:
        assert 400 <= refused < 500
        return
    for spec in signature.inputs:
        array = request.arrays[spec.name]
        assert array.dtype == NUMPY_TYPES[spec.datatype]
        assert not spec.shape or all(size in (-1, got) for size, got in zip(spec.shape, array.shape, strict=True))
        assert array.dtype.kind != "f" or np.isfinite(array).all()


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_any_bytes_are_json_or_a_400(body: bytes) -> None:
    with suppress(InvalidRequest):
        parse_json(body)


@given(st.sampled_from(list(NUMPY_TYPES)), st.data())
def test_what_an_array_says_in_json_reads_back_as_the_same_array(datatype: str, data: st.DataObject) -> None:
    kind = np.dtype(NUMPY_TYPES[datatype])
    elements: st.SearchStrategy[Any] = st.text(st.characters(codec="utf-8"))
    if kind.kind == "b":
        elements = st.booleans()
    if kind.kind in "iu":
        elements = st.integers(int(np.iinfo(kind).min), int(np.iinfo(kind).max))
    if kind.kind == "f":
        largest = float(np.finfo(kind).max)
        elements = st.floats(-largest, largest).map(kind.type)
    rows = data.draw(st.lists(st.lists(elements, min_size=2, max_size=2), min_size=1, max_size=3))
    array = np.array(rows, dtype=kind)
    written = json.dumps(json_from_array("x", array, flat=False), allow_nan=False)
    read = array_from_json(TensorSpec("x", datatype, ("N", 2)), json.loads(written))
    assert (read.dtype, read.tolist()) == (array.dtype, array.tolist())


@pytest.mark.parametrize(
    ("datatype", "data", "error"),
    [
        pytest.param("UINT8", [256], "a number is out of the range of UINT8", id="one above"),
        pytest.param("UINT8", [-1], "a number is out of the range of UINT8", id="one below"),
        pytest.param("INT64", [2**63], "a number is out of the range of INT64", id="above 64 bits"),
        pytest.param("INT32", [1.5], "needs whole numbers (INT32), found a fraction", id="fraction"),
        pytest.param("INT32", [float("nan")], "NaN and Infinity aren't allowed", id="NaN for an integer"),
        pytest.param("FP64", [10**400], "a number is out of the range of FP64", id="beyond float64"),
        pytest.param("FP16", [70000], "a number is out of the range of FP16", id="beyond float16"),
        pytest.param("FP32", ["1"], "needs numbers (FP32), found a string", id="digits in a string"),
        pytest.param("FP32", [None], "needs numbers (FP32), found null", id="null"),
        pytest.param("FP32", [True], "needs numbers (FP32), found true or false", id="a boolean for a number"),
        pytest.param("BOOL", [1], "needs true or false (BOOL), found a number", id="a number for a boolean"),
        pytest.param("BYTES", [1], "needs strings (BYTES), found a number", id="a number for a string"),
        pytest.param("BYTES", ["\ud800"], "a string has half of a surrogate pair; it isn't text", id="not text"),
        pytest.param(
            "FP32", [1, [2]], "the lists are ragged; all lists of one level need one length", id="a list among numbers"
        ),
        pytest.param("FP32", [], "shape [0] has no values", id="nothing"),
        pytest.param("FP32", 1, "shape [] doesn't fit [-1] (-1 is any size)", id="a bare number"),
    ],
)
def test_what_cannot_be_carried_over_exactly_is_refused(datatype: str, data: Any, error: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        array_from_json(TensorSpec("x", datatype, ("N",)), data)
    assert str(refusal.value) == f"input x: {error}"


def test_outputs_that_json_cannot_carry_are_named() -> None:
    with pytest.raises(NotFiniteOutput, match="NaN or infinity in output scores"):
        plain_answer("m", "r", {"scores": np.array([1, np.inf], np.float32)})


def test_an_infer_answer_has_the_wanted_outputs_in_the_wanted_order() -> None:
    signature = Signature((ANY,), (TensorSpec("a", "INT64", ("N",)), TensorSpec("b", "BYTES", ("N",))))
    document = {
        "inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1]}],
        "outputs": [{"name": "b"}, {"name": "a"}],
    }
    outputs = {"b": np.array(["ü"], object), "a": np.array([7])}
    assert infer_answer("m", "r", read_infer(document, signature), outputs, signature.outputs) == {
        "model_name": "m",
        "model_version": "r",
        "outputs": [
            {"name": "b", "datatype": "BYTES", "shape": [1], "data": ["ü"]},
            {"name": "a", "datatype": "INT64", "shape": [1], "data": [7]},
        ],
    }


@pytest.mark.parametrize("signature", SIGNATURES)
def test_blank_inputs_are_of_the_smallest_shape_with_anything_in_it(signature: Signature) -> None:
    blanks = blank_inputs(signature)
    assert {name: array.dtype for name, array in blanks.items()} == {
        spec.name: NUMPY_TYPES[spec.datatype] for spec in signature.inputs
    }
    assert all(
        blanks[spec.name].shape == tuple(1 if size == -1 else size for size in spec.shape) for spec in signature.inputs
    )
