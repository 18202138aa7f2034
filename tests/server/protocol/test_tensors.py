"""JSON values to arrays and back, by tables."""

import math
from typing import Any

import numpy as np
import pytest

from tests.server.protocol.example_requests import array_of, same
from tidegate_server.errors import InvalidRequest, NotFiniteOutput
from tidegate_server.protocol.bfloat16 import bits_of, values_of
from tidegate_server.protocol.json_codec import dump_json, parse_json
from tidegate_server.protocol.limits import Limits, NotFinite
from tidegate_server.protocol.signature import TensorSpec
from tidegate_server.protocol.tensors import VALUES_AT_ONCE, array_from_flat_json, array_from_json, json_ready

LIMITS = Limits(max_elements=8, max_depth=4)
_BEYOND_INT64 = (
    "is out of the range of INT64, or beyond 2**53 with a fraction or an exponent; write large whole numbers as digits"
)


def read(datatype: str, data: Any, limits: Limits = LIMITS) -> Any:
    return array_from_json(TensorSpec("x", datatype, ("N",)), data, limits)


@pytest.mark.parametrize(
    ("datatype", "data", "values"),
    [
        pytest.param("FP32", [1, 2.5], [1.0, 2.5], id="whole numbers among fractions"),
        pytest.param("INT8", [1.0, -128], [1, -128], id="fractions that are whole"),
        pytest.param("UINT64", [2**64 - 1], [2**64 - 1], id="the largest of 64 bits"),
        pytest.param("INT64", [-(2**63)], [-(2**63)], id="the smallest of 64 bits"),
        pytest.param("FP16", [65519], [65504.0], id="what rounds to the largest half float"),
        pytest.param("FP32", [1e-60], [0.0], id="what rounds to zero"),
        pytest.param("BOOL", [True, False], [True, False], id="booleans"),
        pytest.param("BYTES", ["ü", "a\0b", ""], ["ü", "a\0b", ""], id="text"),
    ],
)
def test_values_of_the_datatypes_kind_are_taken(datatype: str, data: Any, values: list[Any]) -> None:
    assert same(read(datatype, data), array_of(datatype, (len(values),), values))


@pytest.mark.parametrize(
    ("datatype", "data", "error"),
    [
        pytest.param("UINT8", [256], "a number is out of the range of UINT8", id="one above"),
        pytest.param("UINT8", [-1], "a number is out of the range of UINT8", id="one below"),
        pytest.param("INT64", [2**63], "a number is out of the range of INT64", id="above 64 bits"),
        pytest.param("UINT64", [1, 2**64], "a number is out of the range of UINT64", id="above 64 bits without a sign"),
        pytest.param("INT64", [1e300], f"a number {_BEYOND_INT64}", id="far above 64 bits"),
        pytest.param("INT64", [float(-(2**63))], f"a number {_BEYOND_INT64}", id="what may have been rounded"),
        pytest.param("INT32", [1.5], "needs whole numbers (INT32), found a fraction", id="fraction"),
        pytest.param("FP32", [1e39], "a number is out of the range of FP32", id="beyond float32"),
        pytest.param("FP64", [10**400], "a number is out of the range of FP64", id="beyond float64"),
        pytest.param("FP16", [70000], "a number is out of the range of FP16", id="beyond float16"),
        pytest.param("FP32", ["1"], "needs numbers (FP32), found a string", id="digits in a string"),
        pytest.param(
            "FP32",
            [1.5, None],
            "needs numbers (FP32), found null or NaN; "
            "set TIDEGATE_MISSING_VALUES=allow if the model takes missing values",
            id="null",
        ),
        pytest.param("INT8", [1, None], "needs numbers (INT8), found null", id="null for an integer"),
        pytest.param("FP32", [True], "needs numbers (FP32), found true or false", id="a boolean for a number"),
        pytest.param("FP32", [{}], "needs numbers (FP32), found an object", id="an object for a number"),
        pytest.param("FP32", {"a": 1}, "shape [] doesn't fit", id="an object"),
        pytest.param("BOOL", [1], "needs true or false (BOOL), found a number", id="a number for a boolean"),
        pytest.param("BYTES", [1], "needs strings (BYTES), found a number", id="a number for a string"),
        pytest.param("FP32", [1, [2]], "the lists are ragged; all lists of one level need one length", id="ragged"),
        pytest.param(
            "FP32", [[1], [2, 3]], "the lists are ragged; all lists of one level need one length", id="uneven"
        ),
        pytest.param("FP32", [[[[[1]]]]], "nested deeper than 4 lists", id="too deep"),
    ],
)
def test_what_cannot_be_carried_over_exactly_is_refused(datatype: str, data: Any, error: str) -> None:
    if isinstance(data, dict):
        error = "0 dimensions, but the model's shape [-1] (-1 is any size) has 1"
    with pytest.raises(InvalidRequest) as refusal:
        read(datatype, data)
    assert (str(refusal.value), refusal.value.status) == (f"input x: {error}", 400)


@pytest.mark.parametrize(
    ("last", "refusal"),
    [
        pytest.param(127, None, id="values that fit"),
        pytest.param(128, "is out of the range of INT8", id="one of the last that doesn't"),
        pytest.param("a", "needs numbers (INT8), found a string", id="one of the last of another kind"),
    ],
)
def test_very_many_values_are_looked_at_to_the_last(last: Any, refusal: str | None) -> None:
    values = [*[number % 100 for number in range(3 * VALUES_AT_ONCE)], last, 5]
    spec = TensorSpec("x", "INT8", ("N",))
    if refusal is None:
        assert array_from_json(spec, values, Limits()).tolist() == values
        return
    with pytest.raises(InvalidRequest) as refused:
        array_from_json(spec, values, Limits())
    assert refusal in str(refused.value)


def test_more_values_than_the_limit_are_too_large() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read("FP32", [0] * 9)
    assert refusal.value.status == 413
    assert str(refusal.value) == "input x: shape [9] has more than 8 values (TIDEGATE_MAX_ELEMENTS); send fewer at once"


@pytest.mark.parametrize("data", [[1, 2, 3, 4, 5, 6], [[1, 2, 3], [4, 5, 6]]], ids=["flat", "nested"])
def test_declared_shapes_take_flat_and_nested_data(data: Any) -> None:
    array = array_from_flat_json(TensorSpec("x", "INT32", (None, 3)), [2, 3], data, LIMITS)
    assert same(array, np.array([[1, 2, 3], [4, 5, 6]], np.int32))


@pytest.mark.parametrize(
    ("shape", "data", "error"),
    [
        pytest.param(
            [2, 3],
            [1, 2, 3],
            "the data has shape [3], which is neither the declared shape [2, 3] nor a flat list of 6 values",
            id="too few",
        ),
        pytest.param(
            [2, 3],
            [[1, 2], [3, 4], [5, 6]],
            "the data has shape [3, 2], which is neither the declared shape [2, 3] nor a flat list of 6 values",
            id="turned",
        ),
        pytest.param([2, 2], [1, 2, 3, 4], "shape [2, 2] doesn't fit [-1, 3] (-1 is any size)", id="another width"),
        pytest.param([6], [1], "1 dimension, but the model's shape [-1, 3] (-1 is any size) has 2", id="another rank"),
        pytest.param(
            [2**62, 3],
            [1],
            f"the data has shape [1], which is neither the declared shape [{2**62}, 3] "
            f"nor a flat list of {3 * 2**62} values",
            id="boundless",
        ),
    ],
)
def test_data_that_disagrees_with_its_shape_is_refused(shape: list[int], data: Any, error: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        array_from_flat_json(TensorSpec("x", "INT32", (None, 3)), shape, data, LIMITS)
    assert str(refusal.value) == f"input x: {error}"


@pytest.mark.parametrize(
    ("shape", "data", "values"),
    [
        pytest.param([], 5, np.array(5, np.float32), id="a bare number"),
        pytest.param([], [5], np.array(5, np.float32), id="a number in a list"),
        pytest.param([2], [5, 6], np.array([5, 6], np.float32), id="a list, for the graph may not know its rank"),
    ],
)
def test_an_input_without_dimensions_takes(shape: list[int], data: Any, values: Any) -> None:
    assert same(array_from_flat_json(TensorSpec("x", "FP32", ()), shape, data, LIMITS), np.asarray(values))


def test_an_input_without_dimensions_has_a_bounded_rank() -> None:
    with pytest.raises(InvalidRequest, match="input x: 5 dimensions, at most 4 are allowed"):
        array_from_flat_json(TensorSpec("x", "FP32", ()), [1] * 5, [1], LIMITS)


def test_null_stands_for_a_missing_number_where_that_is_allowed() -> None:
    allowing = Limits(allow_nan=True)
    assert same(read("FP32", [1.5, None], allowing), np.array([1.5, np.nan], np.float32))
    with pytest.raises(InvalidRequest, match=r"needs numbers \(INT8\), found null"):
        read("INT8", [None], allowing)


@pytest.mark.parametrize(("shape", "written"), [((0,), b"[]"), ((2, 0), b"[[],[]]"), ((1, 0, 4), b"[[]]")])
@pytest.mark.parametrize("datatype", ["FP32", "INT64", "BOOL", "BYTES"])
def test_a_tensor_without_values_comes_and_goes(datatype: str, shape: tuple[int, ...], written: bytes) -> None:
    spec = TensorSpec("x", datatype, tuple(size if size > 2 else None for size in shape))
    nested = array_from_json(spec, parse_json(written), LIMITS)
    flat = array_from_flat_json(spec, shape, [], LIMITS)
    assert nested.shape == flat.shape == array_from_flat_json(spec, shape, parse_json(written), LIMITS).shape == shape
    assert dump_json(json_ready("x", nested)) == written


def test_the_other_sizes_of_an_empty_tensor_are_bounded() -> None:
    with pytest.raises(InvalidRequest, match=r"shape .* has no values and sizes beyond 1048576"):
        array_from_flat_json(TensorSpec("x", "FP32", (None, None)), [2**40, 0], [], LIMITS)


@pytest.mark.parametrize(
    ("not_finite", "written"),
    [
        ("Auto", b"[1.5,null,null,null]"),
        ("null", b"[1.5,null,null,null]"),
        ("string", b'[1.5,"NaN","Infinity","-Infinity"]'),
    ],
)
def test_what_json_cannot_carry_is_written_as_the_setting_says(not_finite: NotFinite, written: bytes) -> None:
    array = np.array([1.5, np.nan, np.inf, -np.inf], np.float32)
    assert dump_json(json_ready("scores", array, not_finite)) == written
    nested = dump_json(json_ready("scores", array.reshape(2, 2), not_finite))
    assert parse_json(nested) == [parse_json(written)[:2], parse_json(written)[2:]]


@pytest.mark.parametrize(("value", "not_finite"), [(np.nan, "Auto"), (np.nan, "refuse"), (np.inf, "refuse")])
def test_an_answer_that_says_nothing_or_may_not_be_said_is_a_failure(value: float, not_finite: NotFinite) -> None:
    with pytest.raises(NotFiniteOutput, match="NaN or infinity in output scores"):
        json_ready("scores", np.array([value, value], np.float32), not_finite)


def test_bfloat16_is_rounded_to_the_nearest() -> None:
    values = np.array([1.0, 1.00390625, 1.01171875, 3.4e38, -0.0, np.inf, np.nan], np.float32)
    assert bits_of(values).tolist() == [0x3F80, 0x3F80, 0x3F82, 0x7F80, 0x8000, 0x7F80, 0x7FC0]
    bits = np.arange(2**16, dtype=np.uint16)
    numbers = bits[~np.isnan(values_of(bits))]
    assert bits_of(values_of(numbers)).tolist() == numbers.tolist()


def test_numbers_are_written_with_the_digits_of_their_own_datatype() -> None:
    arrays: list[Any] = [
        np.array([[0.5]], np.float16),
        np.array(0.1, np.float32),
        np.array([0.1]),
        np.array([[True], [False]]),
    ]
    assert [dump_json(json_ready("y", array)) for array in arrays] == [
        b"[[0.5]]",
        b"0.1",
        b"[0.1]",
        b"[[true],[false]]",
    ]


def test_columns_and_other_views_are_written_in_row_major_order() -> None:
    assert dump_json(json_ready("y", np.arange(6).reshape(2, 3).T)) == b"[[0,3],[1,4],[2,5]]"


@pytest.mark.parametrize("code", "qQlLiIhHbBefd?")
def test_rows_of_every_kind_of_number_are_written(code: str) -> None:
    array = np.array([0, 1], np.dtype(code))
    ready = json_ready("y", array)
    written = parse_json(dump_json([[*ready], json_ready("y", array[1:].reshape(())), ready]))
    assert written == [[0, 1], 1, [0, 1]]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_whole_number_either(value: float) -> None:
    with pytest.raises(InvalidRequest, match="needs whole numbers"):
        array_from_json(TensorSpec("ids", "INT64", ("N",)), [1.0, value], Limits())
