"""Messages become requests, answers become messages, and every wrong message has its sentence."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate_server.errors import InvalidRequest
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.request import InferRequest, RequestedOutput
from tidegate_server.protocol.signature import NUMPY_TYPES, Signature, TensorSpec
from tidegate_server.rpc import open_inference_pb2 as pb
from tidegate_server.rpc.messages import message_from, read_infer, write_infer

LIMITS = Limits(max_elements=1000)
TYPED = sorted(set(NUMPY_TYPES) - {"FP16", "BF16"})
EXTREMES: dict[str, list[Any]] = {
    "BOOL": [True, False],
    "INT8": [-128, 127],
    "INT16": [-(2**15), 2**15 - 1],
    "INT32": [-(2**31), 2**31 - 1],
    "INT64": [-(2**63), 2**63 - 1],
    "UINT8": [0, 2**8 - 1],
    "UINT16": [0, 2**16 - 1],
    "UINT32": [0, 2**32 - 1],
    "UINT64": [0, 2**64 - 1],
    "FP16": [-65504.0, 6e-8],
    "FP32": [-3.4028235e38, 1e-45],
    "BF16": [-3.3895314e38, 9.1835e-41],
    "FP64": [-1.7976931348623157e308, 5e-324],
    "BYTES": ["", "grüße 🌊"],
}


def echo(datatype: str) -> Signature:
    """x [N, 2] -> y [N, 2]"""
    return Signature((TensorSpec("x", datatype, ("N", 2)),), (TensorSpec("y", datatype, ("N", 2)),))


def array(datatype: str, *values: Any) -> np.ndarray[Any, Any]:
    return np.array([list(values)], NUMPY_TYPES[datatype])


def through(request: InferRequest, signature: Signature, outputs: dict[str, Any]) -> pb.ModelInferResponse:
    written = write_infer("m", "r1", request, outputs, signature)
    return pb.ModelInferResponse.FromString(written.SerializeToString())


def tensor(name: str, datatype: str, shape: list[int], **contents: list[Any]) -> Any:
    kept = pb.InferTensorContents(**contents) if contents else None
    return pb.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape, contents=kept)


def as_request(answer: pb.ModelInferResponse) -> pb.ModelInferRequest:
    """The answer's tensors, sent back as inputs of a model whose input is x."""
    inputs = [
        pb.ModelInferRequest.InferInputTensor(
            name="x",
            datatype=one.datatype,
            shape=one.shape,
            contents=one.contents if one.HasField("contents") else None,
        )
        for one in answer.outputs
    ]
    return pb.ModelInferRequest(model_name="m", inputs=inputs, raw_input_contents=answer.raw_output_contents)


def equal(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and bool((one == other).all())


@pytest.mark.parametrize("datatype", NUMPY_TYPES)
def test_what_is_written_raw_is_read_back_to_the_last_bit(datatype: str) -> None:
    values = array(datatype, *EXTREMES[datatype])
    answer = through(InferRequest({}, (RequestedOutput("y", binary=True),)), echo(datatype), {"y": values})

    assert len(answer.raw_output_contents) == 1
    assert not answer.outputs[0].HasField("contents")
    assert equal(read_infer(as_request(answer), echo(datatype), LIMITS).arrays["x"], values)


@pytest.mark.parametrize("datatype", TYPED)
def test_an_empty_batch_is_read_and_written(datatype: str) -> None:
    values = np.empty((0, 2), NUMPY_TYPES[datatype])
    typed = through(InferRequest({}, (RequestedOutput("y"),)), echo(datatype), {"y": values})
    assert equal(read_infer(as_request(typed), echo(datatype), LIMITS).arrays["x"], values)


@pytest.mark.parametrize("datatype", TYPED)
def test_what_is_written_typed_is_read_back_to_the_last_bit(datatype: str) -> None:
    values = array(datatype, *EXTREMES[datatype])
    answer = through(InferRequest({}, (RequestedOutput("y"),)), echo(datatype), {"y": values})

    assert not answer.raw_output_contents
    assert equal(read_infer(as_request(answer), echo(datatype), LIMITS).arrays["x"], values)


def test_half_floats_go_out_raw_and_take_the_other_outputs_along() -> None:
    signature = Signature((), (TensorSpec("half", "FP16", (1,)), TensorSpec("whole", "INT64", (1,))))
    request = InferRequest({}, (RequestedOutput("half"), RequestedOutput("whole")))

    answer = through(request, signature, {"half": np.array([1.5], np.float16), "whole": np.array([7])})

    assert [bytes(raw) for raw in answer.raw_output_contents] == [b"\x00\x3e", (7).to_bytes(8, "little")]
    assert not any(output.HasField("contents") for output in answer.outputs)


def test_nan_and_infinity_pass_both_ways() -> None:
    values = np.array([[np.nan, np.inf]], np.float32)
    answer = through(InferRequest({}, (RequestedOutput("y"),)), echo("FP32"), {"y": values})

    np.testing.assert_array_equal(read_infer(as_request(answer), echo("FP32"), LIMITS).arrays["x"], values)


def test_text_of_a_model_that_is_no_utf8_goes_out_as_its_bytes() -> None:
    values = np.array([[b"\xff", "a"]], np.object_)
    typed = through(InferRequest({}, (RequestedOutput("y"),)), echo("BYTES"), {"y": values})
    raw = through(InferRequest({}, (RequestedOutput("y", binary=True),)), echo("BYTES"), {"y": values})

    assert list(typed.outputs[0].contents.bytes_contents) == [b"\xff", b"a"]
    assert list(raw.raw_output_contents) == [b"\x01\x00\x00\x00\xff\x01\x00\x00\x00a"]


def test_id_version_and_order_of_outputs_come_back() -> None:
    signature = Signature((), (TensorSpec("a", "INT64", (1,)), TensorSpec("b", "INT64", (1,))))
    request = InferRequest({}, (RequestedOutput("b"), RequestedOutput("a")), id="no. 5")

    answer = through(request, signature, {"a": np.array([1]), "b": np.array([2])})

    assert (answer.model_name, answer.model_version, answer.id) == ("m", "r1", "no. 5")
    assert [(one.name, list(one.contents.int64_contents)) for one in answer.outputs] == [("b", [2]), ("a", [1])]


def test_classification_gives_the_best_classes_with_their_labels() -> None:
    signature = Signature((), (TensorSpec("y", "FP32", ("N", 3)),))
    request = InferRequest({}, (RequestedOutput("y", classes=2),))

    answer = write_infer("m", "r1", request, {"y": np.array([[1, 4, 2]], np.float32)}, signature, ("a", "b", "c"))

    (output,) = answer.outputs
    assert (output.datatype, list(output.shape)) == ("BYTES", [1, 2])
    assert list(output.contents.bytes_contents) == [b"4.0:1:b", b"2.0:2:c"]


def two_inputs() -> Signature:
    return Signature(
        (TensorSpec("x", "FP32", ("N", 2)), TensorSpec("words", "BYTES", ("M",))),
        (TensorSpec("y", "FP32", ("N", 2)), TensorSpec("text", "BYTES", ("N",))),
    )


def infer_request(**changes: Any) -> pb.ModelInferRequest:
    """A good request for two_inputs, but for the changes."""
    good: dict[str, Any] = {
        "inputs": [
            tensor("x", "FP32", [1, 2], fp32_contents=[1, 2]),
            tensor("words", "BYTES", [1], bytes_contents=[b"a"]),
        ]
    }
    return pb.ModelInferRequest(model_name="m", **{**good, **changes})


def asked_raw(*raw: bytes, **changes: Any) -> pb.ModelInferRequest:
    inputs = [tensor("x", "FP32", [1, 2]), tensor("words", "BYTES", [1])]
    return infer_request(**{"inputs": inputs, "raw_input_contents": raw, **changes})


def with_x(given: Any) -> pb.ModelInferRequest:
    return infer_request(inputs=[given, tensor("words", "BYTES", [1], bytes_contents=[b"a"])])


def with_parameter(name: str, **value: Any) -> pb.ModelInferRequest:
    return infer_request(parameters={name: pb.InferParameter(**value)})


def wanting(name: str, **parameters: pb.InferParameter) -> Any:
    return pb.ModelInferRequest.InferRequestedOutputTensor(name=name, parameters=parameters)


def with_shared_memory() -> Any:
    given = tensor("x", "FP32", [1, 2])
    given.parameters["shared_memory_region"].string_param = "region"
    return given


WORD = b"\x01\x00\x00\x00a"


@pytest.mark.parametrize("typed", ["x", "words"])
def test_raw_inputs_and_typed_ones_may_come_in_one_message(typed: str) -> None:
    """As some clients send what has no typed contents, such as half floats, beside what has."""
    x = tensor("x", "FP32", [1, 2], fp32_contents=[1, 2]) if typed == "x" else tensor("x", "FP32", [1, 2])
    words = tensor("words", "BYTES", [1], bytes_contents=[b"a"]) if typed == "words" else tensor("words", "BYTES", [1])
    raw = WORD if typed == "x" else np.array([1, 2], np.float32).tobytes()

    request = read_infer(asked_raw(raw, inputs=[x, words]), two_inputs(), LIMITS)

    assert {name: array.tolist() for name, array in request.arrays.items()} == {"x": [[1, 2]], "words": ["a"]}
    assert all(output.binary for output in request.outputs)


WRONG = {
    "an unknown input": (
        infer_request(inputs=[tensor("z", "FP32", [1], fp32_contents=[1])]),
        "the model has no input 'z'; it has x, words",
    ),
    "a missing input": (
        infer_request(inputs=[tensor("x", "FP32", [1, 2], fp32_contents=[1, 2])]),
        "input words is missing",
    ),
    "no inputs": (infer_request(inputs=[]), "input x is missing"),
    "an input twice": (
        infer_request(inputs=[tensor("x", "FP32", [1, 2], fp32_contents=[1, 2])] * 2),
        "input x is given twice",
    ),
    "another datatype": (
        with_x(tensor("x", "FP64", [1, 2], fp64_contents=[1, 2])),
        "input x: the datatype must be FP32",
    ),
    "a rank too few": (
        with_x(tensor("x", "FP32", [2], fp32_contents=[1, 2])),
        "input x: 1 dimension, but the model's shape [-1, 2] (-1 is any size) has 2",
    ),
    "a size that doesn't fit": (
        with_x(tensor("x", "FP32", [1, 3], fp32_contents=[1, 2, 3])),
        "input x: shape [1, 3] doesn't fit [-1, 2] (-1 is any size)",
    ),
    "a negative size": (
        with_x(tensor("x", "FP32", [-1, 2], fp32_contents=[1, 2])),
        "input x: a size is negative; give the sizes of the values that are sent",
    ),
    "no values and a huge size": (
        with_x(tensor("x", "FP32", [2**40, 0])),
        "input x: shape [1099511627776, 0] doesn't fit [-1, 2] (-1 is any size)",
    ),
    "too many values in one input": (
        with_x(tensor("x", "FP32", [501, 2], fp32_contents=[0] * 1002)),
        "input x: shape [501, 2] has more than 1000 values (TIDEGATE_MAX_ELEMENTS); send fewer at once",
    ),
    "too many values together": (
        infer_request(
            inputs=[
                tensor("x", "FP32", [500, 2], fp32_contents=[0] * 1000),
                tensor("words", "BYTES", [1], bytes_contents=[b"a"]),
            ]
        ),
        "the inputs together have more than 1000 values (TIDEGATE_MAX_ELEMENTS); send fewer at once",
    ),
    "a shape beyond all bounds": (
        with_x(tensor("x", "FP32", [2**62] * 1000)),
        "input x: 1000 dimensions, but the model's shape [-1, 2] (-1 is any size) has 2",
    ),
    "too few values": (
        with_x(tensor("x", "FP32", [2, 2], fp32_contents=[1, 2])),
        "input x: fp32_contents has 2 values, shape [2, 2] needs 4",
    ),
    "no contents at all": (
        with_x(tensor("x", "FP32", [1, 2])),
        "input x: fp32_contents has 0 values, shape [1, 2] needs 2",
    ),
    "values in another datatype's field": (
        with_x(tensor("x", "FP32", [1, 2], int64_contents=[1, 2])),
        "input x: FP32 goes into fp32_contents, found int64_contents",
    ),
    "values in two fields": (
        with_x(tensor("x", "FP32", [1, 2], fp32_contents=[1, 2], bool_contents=[True])),
        "input x: FP32 goes into fp32_contents, found bool_contents",
    ),
    "bytes that aren't text": (
        infer_request(
            inputs=[
                tensor("x", "FP32", [1, 2], fp32_contents=[1, 2]),
                tensor("words", "BYTES", [1], bytes_contents=[b"\xff"]),
            ]
        ),
        "input words: a value of BYTES isn't UTF-8; the model takes text only",
    ),
    "raw contents for some inputs only": (
        asked_raw(b"12345678"),
        "raw_input_contents has 1 items, and 2 of 2 inputs have no contents; "
        "send one for each of these, or for every input",
    ),
    "raw contents of another length": (
        asked_raw(b"1234567", WORD),
        "input x: FP32 of shape [1, 2] is 8 bytes, found 7",
    ),
    "raw text cut short": (
        asked_raw(b"12345678", WORD[:-1]),
        "input words: value 0 is said to be longer than the bytes that follow",
    ),
    "raw text with something after it": (
        asked_raw(b"12345678", WORD + b"!"),
        "input words: 1 bytes are left after 1 values",
    ),
    "raw and typed contents": (
        asked_raw(
            b"12345678",
            WORD,
            inputs=[tensor("x", "FP32", [1, 2], fp32_contents=[1, 2]), tensor("words", "BYTES", [1])],
        ),
        "input x: has both contents and raw_input_contents; send one of them",
    ),
    "an input in shared memory": (
        with_x(with_shared_memory()),
        "input x: shared memory isn't offered; send the values",
    ),
    "an output in shared memory": (
        infer_request(outputs=[wanting("y", shared_memory_region=pb.InferParameter(string_param="region"))]),
        "output y: shared memory isn't offered; take the answer's values",
    ),
    "an unknown output": (infer_request(outputs=[wanting("z")]), "the model has no output 'z'; it has y, text"),
    "an output twice": (infer_request(outputs=[wanting("y")] * 2), "output y is asked for twice"),
    "classes that are no number": (
        infer_request(outputs=[wanting("y", classification=pb.InferParameter(string_param="3"))]),
        "output y: classification must be a number of classes",
    ),
    "classes of text": (
        infer_request(outputs=[wanting("text", classification=pb.InferParameter(int64_param=3))]),
        "output text: classification needs numbers, the output is BYTES",
    ),
    "a timeout below zero": (
        with_parameter("timeout", int64_param=-1),
        "the request: timeout must be a whole number of microseconds",
    ),
    "a timeout that is text": (
        with_parameter("timeout", string_param="1s"),
        "the request: timeout must be a whole number of microseconds",
    ),
}


@pytest.mark.parametrize(("message", "sentence"), WRONG.values(), ids=WRONG)
def test_a_wrong_message_is_refused_with_a_sentence(message: pb.ModelInferRequest, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_infer(message, two_inputs(), LIMITS)

    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("datatype", "field", "value"),
    [
        pytest.param("INT8", "int_contents", 128, id="INT8 above"),
        pytest.param("INT16", "int_contents", -(2**15) - 1, id="INT16 below"),
        pytest.param("UINT8", "uint_contents", 256, id="UINT8 above"),
        pytest.param("UINT16", "uint_contents", 2**16, id="UINT16 above"),
    ],
)
def test_a_number_beyond_a_datatype_narrower_than_its_field_is_refused(datatype: str, field: str, value: int) -> None:
    message = infer_request(inputs=[tensor("x", datatype, [1, 2], **{field: [0, value]})])

    with pytest.raises(InvalidRequest, match=f"^input x: a number is out of the range of {datatype}$"):
        read_infer(message, echo(datatype), LIMITS)


def test_half_floats_in_typed_contents_are_refused() -> None:
    message = infer_request(inputs=[tensor("x", "FP16", [1, 2], fp32_contents=[1, 2])])

    with pytest.raises(InvalidRequest, match=r"^input x: FP16 has no typed contents; send raw_input_contents$"):
        read_infer(message, echo("FP16"), LIMITS)


def test_a_byte_of_bool_is_nought_or_one() -> None:
    message = infer_request(inputs=[tensor("x", "BOOL", [1, 2])], raw_input_contents=[b"\x01\x02"])

    with pytest.raises(InvalidRequest, match=r"^input x: a byte of BOOL is 0 or 1, found another one$"):
        read_infer(message, echo("BOOL"), LIMITS)


def test_unknown_parameters_are_ignored() -> None:
    assert read_infer(with_parameter("priority", uint64_param=3), two_inputs(), LIMITS).timeout_seconds is None


@pytest.mark.parametrize(
    ("parameter", "seconds"),
    [
        pytest.param({"int64_param": 250_000}, 0.25, id="signed"),
        pytest.param({"uint64_param": 250_000}, 0.25, id="unsigned"),
        pytest.param({"int64_param": 0}, None, id="nought is none"),
    ],
)
def test_the_timeout_is_in_microseconds(parameter: dict[str, int], seconds: float | None) -> None:
    assert read_infer(with_parameter("timeout", **parameter), two_inputs(), LIMITS).timeout_seconds == seconds


def test_without_named_outputs_all_are_wanted_raw_when_the_inputs_were() -> None:
    typed = read_infer(infer_request(), two_inputs(), LIMITS).outputs
    raw = read_infer(asked_raw(b"12345678", WORD), two_inputs(), LIMITS).outputs

    assert typed == (RequestedOutput("y"), RequestedOutput("text"))
    assert raw == (RequestedOutput("y", binary=True), RequestedOutput("text", binary=True))


def test_statistics_keep_their_numbers() -> None:
    duration = {"count": 2, "ns": 3_000_000_000}
    document = {"model_stats": [{"name": "m", "version": "r1", "inference_stats": {"success": duration}}]}

    (stats,) = message_from(document, pb.ModelStatisticsResponse()).model_stats

    assert (stats.inference_stats.success.count, stats.inference_stats.success.ns) == (2, 3_000_000_000)


CONTENTS = st.fixed_dictionaries(
    {},
    optional={
        "bool_contents": st.lists(st.booleans(), max_size=5),
        "int_contents": st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5),
        "uint64_contents": st.lists(st.integers(0, 2**64 - 1), max_size=5),
        "fp32_contents": st.lists(st.floats(width=32), max_size=5),
        "bytes_contents": st.lists(st.binary(max_size=5), max_size=5),
    },
)
SIZES = st.one_of(st.integers(-2, 4), st.integers(-(2**63), 2**63 - 1))
INPUTS = st.builds(
    lambda name, datatype, shape, contents: tensor(name, datatype, shape, **contents),
    st.sampled_from(["x", "words", "z"]),
    st.sampled_from([*NUMPY_TYPES, "BF16", ""]),
    st.lists(SIZES, max_size=4),
    CONTENTS,
)
MESSAGES = st.builds(
    lambda inputs, raw, outputs: infer_request(inputs=inputs, raw_input_contents=raw, outputs=map(wanting, outputs)),
    st.lists(INPUTS, max_size=3),
    st.lists(st.binary(max_size=40), max_size=3),
    st.lists(st.sampled_from(["y", "text", "z"]), max_size=2),
)


@given(MESSAGES, st.sampled_from(list(NUMPY_TYPES)))
@settings(max_examples=400, deadline=None)
def test_any_message_is_a_request_or_has_a_sentence(message: pb.ModelInferRequest, datatype: str) -> None:
    for signature in (echo(datatype), two_inputs()):
        try:
            names = list(read_infer(message, signature, LIMITS).arrays)
        except InvalidRequest:
            continue
        assert names == [one.name for one in message.inputs]
