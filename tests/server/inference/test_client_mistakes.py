"""Whose fault a failed run is."""

from typing import Any

import numpy as np
import pytest

from tidegate_server.inference.client_mistakes import undecodable_sound, value_beyond_table

GATHER = (
    "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Non-zero status code returned while running Gather node. "
    "Name:'/embeddings/Gather' Status Message: "
)
BOUNDS = "indices element out of data bounds, idx=7 must be within the inclusive range [-3,2]"


@pytest.mark.parametrize(
    ("words", "arrays", "sentence"),
    [
        pytest.param(
            GATHER + BOUNDS,
            {"x": np.array([7.0]), "ids": np.array([[1, 7]])},
            f"input ids holds 7, which is in no table of the model: {BOUNDS}",
            id="an index that the client gave",
        ),
        pytest.param(GATHER + BOUNDS, {"ids": np.array([[1, 2]])}, None, id="an index that the graph made"),
        pytest.param(
            GATHER + "invalid index found, index = 7",
            {"ids": np.array([7], np.int32)},
            "input ids holds 7, which is in no table of the model: invalid index found, index = 7",
            id="an index into several dimensions",
        ),
        pytest.param("FAIL : matmul_helper.h:59", {"ids": np.array([59])}, None, id="any other failure"),
    ],
)
def test_a_failure_is_the_clients_where_the_value_that_is_named_came_from_it(
    words: str, arrays: Any, sentence: str | None
) -> None:
    assert value_beyond_table(words, arrays) == sentence


DECODER = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running AudioDecoder node. "
    "Name:'' Status Message: [AudioDecoder]: Cannot detect audio stream format"
)


@pytest.mark.parametrize(
    ("words", "sounds", "sentence"),
    [
        pytest.param(
            DECODER,
            {"sound"},
            "input sound isn't a sound file that the model's decoder reads, or is cut off: "
            "[AudioDecoder]: Cannot detect audio stream format",
            id="bytes that the client gave",
        ),
        pytest.param(DECODER, set(), None, id="bytes that the graph made"),
        pytest.param(GATHER + BOUNDS, {"sound"}, None, id="any other failure"),
    ],
)
def test_bytes_that_cannot_be_decoded_are_the_clients_where_it_gave_them(
    words: str, sounds: set[str], sentence: str | None
) -> None:
    assert undecodable_sound(words, sounds) == sentence
