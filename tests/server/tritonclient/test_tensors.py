"""Values of every datatype go there and back unchanged, through every transport of the server."""

from typing import Any

import numpy as np
import pytest

from tests.server.tritonclient.conftest import KINDS, REVISION, TRANSPORTS, VALUES, Asking, blank, same


@pytest.mark.parametrize("datatype", KINDS)
def test_values_come_back_unchanged(asking: Asking, datatype: str) -> None:
    answer = asking.infer({datatype: VALUES[datatype]}, [f"out_{datatype}"])

    assert same(answer.as_numpy(f"out_{datatype}"), VALUES[datatype])


def test_all_datatypes_fit_into_one_request(asking: Asking) -> None:
    answer = asking.infer(VALUES)

    assert [kind for kind in KINDS if not same(answer.as_numpy(f"out_{kind}"), VALUES[kind])] == []


def test_only_the_outputs_asked_for_come_in_the_order_asked_for(asking: Asking) -> None:
    answer = asking.infer(VALUES, ["out_INT8", "out_BOOL"])

    assert names_of(answer) == ["out_INT8", "out_BOOL"]
    assert answer.as_numpy("out_FP32") is None


def test_name_revision_and_id_come_back(asking: Asking) -> None:
    answer = asking.infer(VALUES, ["out_BOOL"], request_id="no. 5", model_version=REVISION).get_response()

    assert (of(answer, "model_name"), of(answer, "model_version"), of(answer, "id")) == ("digits", REVISION, "no. 5")


def test_parameters_that_mean_nothing_here_do_no_harm(asking: Asking) -> None:
    answer = asking.infer(
        VALUES, ["out_INT64"], priority=3, sequence_id=7, sequence_start=True, parameters={"mine": "yes"}
    )

    assert same(answer.as_numpy("out_INT64"), VALUES["INT64"])


def test_a_large_tensor_comes_back(asking: Asking) -> None:
    large = np.arange(200_000, dtype=np.float32).reshape(-1, 2)

    assert same(asking.infer({"FP32": large}, ["out_FP32"]).as_numpy("out_FP32"), large)


def test_nan_and_infinity_come_back_in_raw_tensors(http: Asking, rpc: Asking) -> None:
    values = np.array([[np.nan, np.inf], [-np.inf, -0.0]], np.float32)

    for asking in (http, rpc):
        np.testing.assert_array_equal(asking.infer({"FP32": values}, ["out_FP32"]).as_numpy("out_FP32"), values)


def test_raw_tensors_and_json_mix_in_one_http_request(http: Asking) -> None:
    as_json = TRANSPORTS["HTTP JSON"]
    inputs = [
        as_json.input("in_FP32", "FP32", VALUES["FP32"]) if one.name() == "in_FP32" else one
        for one in http.inputs({"INT64": VALUES["INT64"]})
    ]
    outputs = [http.transport.output("out_FP32"), as_json.output("out_INT64"), http.transport.output("out_BYTES")]

    answer = http.client.infer("digits", inputs, outputs=outputs)

    assert same(answer.as_numpy("out_FP32"), VALUES["FP32"])
    assert same(answer.as_numpy("out_INT64"), VALUES["INT64"])
    assert same(answer.as_numpy("out_BYTES"), blank("BYTES"))
    assert [name for name in names_of(answer) if "data" in answer.get_output(name)] == ["out_INT64"]


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (2, 2), (9, 2)], ids=["the best", "both", "more than are"])
def test_classification_names_the_best_classes_of_each_row(asking: Asking, count: int, expected: int) -> None:
    scores = np.array([[0.25, 0.75], [1.5, -1]], np.float32)
    output = asking.transport.output("out_FP32", class_count=count)

    answer = asking.client.infer("digits", asking.inputs({"FP32": scores}), outputs=[output])

    found = answer.as_numpy("out_FP32")
    words = [one.decode() if isinstance(one, bytes) else one for one in found.ravel()]
    best_first = [["0.75:1", "0.25:0"], ["1.5:0", "-1.0:1"]]
    assert found.shape == (2, expected)
    assert words == [word for row in best_first for word in row[:expected]]


def names_of(answer: Any) -> list[str]:
    return [of(output, "name") for output in of(answer.get_response(), "outputs")]


def of(document: Any, field: str) -> Any:
    """Of a message or of a JSON object."""
    return document[field] if isinstance(document, dict) else getattr(document, field)
