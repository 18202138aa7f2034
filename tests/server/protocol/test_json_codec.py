"""JSON of any size: in pieces as in one, and refused before it is read where it would take too much."""

import tracemalloc
from threading import Event, Thread
from time import process_time
from typing import Any

import numpy as np
import orjson
import pytest

from tidegate_server.errors import InvalidRequest
from tidegate_server.protocol.json_codec import NUMBERS_AT_ONCE, dump_json, parse_json
from tidegate_server.protocol.json_size import MAX_CONTAINERS, check_containers, most_value_bytes

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((NUMBERS_AT_ONCE,), id="not large"),
        pytest.param((100_003,), id="flat"),
        pytest.param((7, 30_011), id="few long rows"),
        pytest.param((30_011, 7), id="many short rows"),
        pytest.param((1, 3, 1, 20_001), id="rows in rows"),
        pytest.param((1, 1, 100_003, 1), id="rows of one"),
        pytest.param((NUMBERS_AT_ONCE + 1,), id="just too large"),
    ],
)
@pytest.mark.parametrize("kind", [np.float32, np.int64, np.bool_])
def test_pieces_are_written_as_the_whole_would_be(shape: tuple[int, ...], kind: Any) -> None:
    array = (RANDOM.normal(size=shape) * 100).astype(kind)
    if kind is np.float32:
        array.flat[5] = np.nan
    document = {"outputs": [{"data": array, "name": "y"}], "by_name": {"y": array, "text": ["a", "b"]}, "id": None}
    assert dump_json(document, array.size) == orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def test_others_run_while_a_large_answer_is_written() -> None:
    """Four million numbers take some 300 ms."""
    turns = 0
    is_over = Event()

    def count() -> None:
        nonlocal turns
        while not is_over.wait(0.0005):
            turns += 1

    array = RANDOM.normal(size=4_000_000).astype(np.float32)
    other = Thread(target=count)
    other.start()
    try:
        before = turns
        dump_json({"data": array}, array.size)
        assert turns - before > 20
    finally:
        is_over.set()
        other.join()


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"[" + b"[]," * 200_000 + b"[]]", id="empty lists"),
        pytest.param(b"[" + b"{}," * 200_000 + b"{}]", id="empty objects"),
        pytest.param(b"[" + b"0.5," * 200_000 + b"1]", id="fractions"),
        pytest.param(b"[" + b"70000," * 200_000 + b"1]", id="whole numbers"),
        pytest.param(b"[" + b'"ab",' * 200_000 + b'"ab"]', id="strings"),
        pytest.param(b"[" + b'{"a":1},' * 100_000 + b"{}]", id="objects"),
        pytest.param(b"[" + b"[0.5,0.25]," * 100_000 + b"[]]", id="lists"),
    ],
)
def test_what_values_take_is_known_before_they_are_read(document: bytes) -> None:
    tracemalloc.start()
    try:
        values = orjson.loads(document)
        flat = tuple(values)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(flat) == len(values)
    assert taken <= most_value_bytes(document) < 8 * taken


def test_more_lists_than_any_tensor_needs_are_refused_unread() -> None:
    check_containers(b"[" + b"[]," * (MAX_CONTAINERS - 2) + b"[]]")
    with pytest.raises(InvalidRequest) as refused:
        check_containers(b"[" + b"[]," * (MAX_CONTAINERS - 2) + b"{}," + b"[]]")
    assert refused.value.status == 413
    assert str(refused.value).startswith("the JSON has 524289 lists and objects, and at most 524288 are taken; send")


def test_a_byte_order_mark_is_left_out() -> None:
    assert parse_json(b'\xef\xbb\xbf{"inputs": [1]}') == {"inputs": [1]}
    with pytest.raises(InvalidRequest, match="isn't valid JSON"):
        parse_json(b"\xef\xbb\xbf\xef\xbb\xbf{}")


def test_a_bare_nan_is_null_outside_of_strings() -> None:
    assert parse_json(b'{"a NaN \\" NaN": [NaN, -1, "NaN"]}') == {'a NaN " NaN': [None, -1, "NaN"]}


@pytest.mark.parametrize("body", [b'NaN"' + b'\\"' * 2**19, b'"\\' * 2**19 + b"NaN", b"NaN" * 2**18])
def test_bodies_that_are_almost_json_with_nan_are_refused_soon(body: bytes) -> None:
    started = process_time()
    with pytest.raises(InvalidRequest, match="isn't valid JSON"):
        parse_json(body)
    assert process_time() - started < 2
