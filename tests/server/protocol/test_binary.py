"""Tensors as bytes, by tables."""

import struct

import numpy as np
import pytest

from tests.server.protocol.example_requests import array_of, same
from tidegate_server.errors import InvalidRequest
from tidegate_server.protocol.binary import array_from_bytes, bytes_from_array
from tidegate_server.protocol.signature import TensorSpec


def element(value: bytes) -> bytes:
    return struct.pack("<I", len(value)) + value


@pytest.mark.parametrize(
    ("datatype", "body", "error"),
    [
        pytest.param("FP32", b"\0" * 7, "FP32 of shape [2] is 8 bytes, found 7", id="one byte short"),
        pytest.param("INT8", b"\0" * 3, "INT8 of shape [2] is 2 bytes, found 3", id="one byte over"),
        pytest.param("BOOL", b"\0\2", "a byte of BOOL is 0 or 1, found another one", id="neither false nor true"),
        pytest.param("BYTES", element(b"a"), "the bytes end after 1 of 2 values", id="a value too few"),
        pytest.param("BYTES", element(b"a") + b"\1\0\0", "the bytes end after 1 of 2 values", id="a cut length"),
        pytest.param(
            "BYTES",
            element(b"a") + b"\xff\xff\xff\xffabc",
            "value 1 is said to be longer than the bytes that follow",
            id="a length beyond the end",
        ),
        pytest.param("BYTES", element(b"a") * 3, "5 bytes are left after 2 values", id="a value too many"),
        pytest.param(
            "BYTES",
            element(b"a") + element(b"\xff"),
            "a value of BYTES isn't UTF-8; the model takes text only",
            id="not text",
        ),
    ],
)
def test_bytes_that_are_not_exactly_the_tensor_are_refused(datatype: str, body: bytes, error: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        array_from_bytes(TensorSpec("x", datatype, (None,)), [2], body)
    assert str(refusal.value) == f"input x: {error}"


@pytest.mark.parametrize("begin", range(9))
def test_numbers_stay_in_the_body_unless_they_are_at_an_odd_place(begin: int) -> None:
    values = np.arange(4, dtype=np.float64)
    body = b"#" * begin + values.tobytes() + b"#"
    array = array_from_bytes(TensorSpec("x", "FP64", (None,)), [4], body, begin, 32)
    assert same(array, values)
    assert array.flags.aligned
    assert np.shares_memory(array, np.frombuffer(body, np.uint8)) == (begin % 8 == 0)


def test_nan_passes_as_bytes() -> None:
    values = np.array([np.nan, np.inf], np.float16)
    assert same(array_from_bytes(TensorSpec("x", "FP16", (2,)), [2], values.tobytes()), values)


def test_text_and_bytes_of_a_model_are_written_alike() -> None:
    array = array_of("BYTES", (2,), ["ü", b"\xff"])
    assert bytes_from_array(array) == element("ü".encode()) + element(b"\xff")


def test_views_are_written_in_row_major_order() -> None:
    array = np.arange(6, dtype=np.int16).reshape(2, 3).T
    assert bytes(bytes_from_array(array)) == struct.pack("<6h", 0, 3, 1, 4, 2, 5)
