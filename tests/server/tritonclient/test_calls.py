"""Health, metadata, statistics, compression, calls that don't wait, deadlines and refusals, as the clients see them."""

from queue import Queue
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
from google.protobuf import json_format
from tritonclient.utils import InferenceServerException

from tests.server.conftest import Server
from tests.server.tritonclient.conftest import (
    KINDS,
    REVISION,
    TRANSPORTS,
    VALUES,
    Asking,
    ConnectTo,
    Transport,
    blank,
    same,
)

WAIT_SECONDS = 20


def as_dict(document: Any) -> Any:
    """Of a message or of a JSON object; numbers of 64 bits are text in a message's JSON."""
    if isinstance(document, dict):
        return document
    return json_format.MessageToDict(
        document, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


# --- health and metadata


def test_server_and_model_are_live_and_ready(asking: Asking) -> None:
    client = asking.client

    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("digits")
    assert client.is_model_ready("digits", REVISION)


def test_another_model_is_not_ready(asking: Asking) -> None:
    assert not asking.client.is_model_ready("letters")
    assert not asking.client.is_model_ready("digits", "digits-0000")


def test_the_server_says_who_it_is(asking: Asking) -> None:
    metadata = as_dict(asking.client.get_server_metadata())

    assert metadata["name"] == "tidegate-server"
    assert metadata["version"]
    assert {"binary_tensor_data", "classification", "statistics"} <= set(metadata["extensions"])


def test_the_model_says_what_it_takes_and_gives(asking: Asking) -> None:
    metadata = as_dict(asking.client.get_model_metadata("digits"))
    inputs, outputs = [
        [(one["name"], one["datatype"], [int(size) for size in one["shape"]]) for one in metadata[side]]
        for side in ("inputs", "outputs")
    ]

    assert (metadata["name"], metadata["versions"], metadata["platform"]) == ("digits", [REVISION], "onnx_onnxv1")
    assert inputs == [(f"in_{kind}", kind, [-1, 2]) for kind in KINDS]
    assert outputs == [(f"out_{kind}", kind, [-1, 2]) for kind in KINDS]


def test_the_model_says_what_a_load_generator_asks(asking: Asking) -> None:
    answer = as_dict(asking.client.get_model_config("digits"))
    config = answer.get("config", answer)

    assert (config["name"], config["max_batch_size"]) == ("digits", 0)
    assert [(one["name"], [int(size) for size in one["dims"]]) for one in config["input"]] == [
        (f"in_{kind}", [-1, 2]) for kind in KINDS
    ]
    assert [one["data_type"] for one in config["input"]][-2:] == ["TYPE_FP64", "TYPE_STRING"]


# --- statistics, as perf_analyzer reads them: the difference of two looks


def durations(asking: Asking) -> dict[str, tuple[int, int]]:
    (stats,) = as_dict(asking.client.get_inference_statistics("digits"))["model_stats"]
    assert stats["name"] == "digits"
    assert stats["version"].isdecimal(), "perf_analyzer reads a number here, and dies of anything else"
    counted = stats["inference_stats"].items()
    return {
        **{name: (int(one["count"]), int(one["ns"])) for name, one in counted},
        "inference": (int(stats["inference_count"]), 0),
        "execution": (int(stats["execution_count"]), int(stats["last_inference"])),
    }


def test_statistics_count_requests_rows_and_where_their_time_went(asking: Asking) -> None:
    before = durations(asking)
    for _ in range(3):
        asking.infer({}, ["out_FP32"])
    with pytest.raises(InferenceServerException):
        asking.infer({"FP32": np.zeros((1, 3), np.float32)})
    after = durations(asking)

    computed = {after[name][0] for name in ("compute_input", "compute_infer", "compute_output")}
    assert len(computed) == 1, "perf_analyzer dies when they differ"
    grown = {name: after[name][0] - before[name][0] for name in after}
    times = {name: after[name][1] - before[name][1] for name in after}
    assert grown == {
        **dict.fromkeys(("success", "queue", "compute_input", "compute_infer", "compute_output"), 3),
        **dict.fromkeys(("inference", "execution"), 3),
        **dict.fromkeys(("cache_hit", "cache_miss"), 0),
        "fail": 1,
    }
    assert times["success"] >= times["compute_infer"] > 0
    assert after["execution"][1] > 1_600_000_000_000, "the last inference is in milliseconds since the epoch"


def test_statistics_of_every_model_are_those_of_the_one(asking: Asking) -> None:
    every, one = asking.client.get_inference_statistics(), asking.client.get_inference_statistics("digits")

    assert as_dict(every) == as_dict(one)


# --- compression

ALGORITHMS = ["gzip", "deflate"]
HTTP_TRANSPORTS = {name: transport for name, transport in TRANSPORTS.items() if name.startswith("HTTP")}
LARGE = np.zeros((2000, 2), np.float32)


@pytest.mark.parametrize("transport", HTTP_TRANSPORTS.values(), ids=HTTP_TRANSPORTS)
@pytest.mark.parametrize("sent", ALGORITHMS)
@pytest.mark.parametrize("received", [*ALGORITHMS, None])
def test_http_bodies_may_be_compressed_both_ways(
    served: Server, transport: Transport, sent: str, received: str | None
) -> None:
    with transport.module.InferenceServerClient(transport.url(served)) as client:
        answer = Asking(transport, client).infer(
            {"FP32": LARGE},
            ["out_FP32"],
            request_compression_algorithm=sent,
            response_compression_algorithm=received,
        )

    assert same(answer.as_numpy("out_FP32"), LARGE)
    assert answer.get_response()["model_version"] == REVISION


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_grpc_messages_may_be_compressed(rpc: Asking, algorithm: str) -> None:
    answer = rpc.infer({"FP32": LARGE}, ["out_FP32"], compression_algorithm=algorithm)

    assert same(answer.as_numpy("out_FP32"), LARGE)


# --- calls that don't wait


def numbered(number: int) -> dict[str, Any]:
    return {"INT64": np.array([[number, -number]])}


def test_many_http_calls_may_be_under_way(served: Server) -> None:
    transport = TRANSPORTS["HTTP binary"]
    with transport.module.InferenceServerClient(transport.url(served), concurrency=4) as client:
        asking = Asking(transport, client)
        calls = [client.async_infer("digits", asking.inputs(numbered(number))) for number in range(20)]
        answers = [call.get_result(timeout=WAIT_SECONDS).as_numpy("out_INT64").tolist() for call in calls]

    assert answers == [[[number, -number]] for number in range(20)]


def test_many_grpc_calls_may_be_under_way(rpc: Asking) -> None:
    answers: Queue[Any] = Queue()
    for number in range(10):
        rpc.client.async_infer(
            "digits",
            rpc.inputs(numbered(number)),
            callback=lambda result, error: answers.put(error or result.as_numpy("out_INT64").tolist()),
        )

    found = [answers.get(timeout=WAIT_SECONDS) for _ in range(10)]
    assert sorted(found, key=str) == sorted(([[number, -number]] for number in range(10)), key=str)


def test_a_grpc_stream_answers_in_order_and_survives_a_bad_request(rpc: Asking) -> None:
    answers: Queue[Any] = Queue()
    rpc.client.start_stream(callback=lambda result, error: answers.put(error or result.as_numpy("out_INT64").tolist()))
    for number in (1, 2):
        rpc.client.async_stream_infer("digits", rpc.inputs(numbered(number)), request_id=str(number))
    rpc.client.async_stream_infer("letters", rpc.inputs(numbered(3)))
    rpc.client.async_stream_infer("digits", rpc.inputs(numbered(4)))

    first, second, refused, last = [answers.get(timeout=WAIT_SECONDS) for _ in range(4)]
    rpc.client.stop_stream()

    assert [first, second, last] == [[[1, -1]], [[2, -2]], [[4, -4]]]
    assert refused.message() == f"this server has model digits in revision {REVISION} and no other"


# --- refusals: the same sentence through every transport

BAD_INPUTS = {
    "a shape that doesn't fit": (
        "in_FP32",
        "FP32",
        np.zeros((1, 3), np.float32),
        "input in_FP32: shape [1, 3] doesn't fit [-1, 2] (-1 is any size)",
    ),
    "another datatype": ("in_FP32", "FP64", np.zeros((1, 2)), "input in_FP32: the datatype must be FP32"),
    "an unknown input": (
        "in_FP8",
        "FP32",
        np.zeros((1, 2), np.float32),
        f"the model has no input 'in_FP8'; it has {', '.join(f'in_{kind}' for kind in KINDS)}",
    ),
}


@pytest.mark.parametrize(("name", "datatype", "values", "sentence"), BAD_INPUTS.values(), ids=BAD_INPUTS)
def test_a_bad_input_is_refused_with_a_sentence(
    asking: Asking, name: str, datatype: str, values: Any, sentence: str
) -> None:
    inputs = [one for one in asking.inputs({}) if one.name() != "in_FP32"]

    with pytest.raises(InferenceServerException) as refused:
        asking.client.infer("digits", [asking.transport.input(name, datatype, values), *inputs])

    assert (refused.value.message(), refused.value.status()) in said(sentence, "INVALID_ARGUMENT", 400)


def test_a_missing_input_is_refused_with_a_sentence(asking: Asking) -> None:
    with pytest.raises(InferenceServerException) as refused:
        asking.client.infer("digits", asking.inputs({})[1:])

    assert (refused.value.message(), refused.value.status()) in said(
        "input in_BOOL is missing", "INVALID_ARGUMENT", 400
    )


def test_an_unknown_output_is_refused_with_a_sentence(asking: Asking) -> None:
    with pytest.raises(InferenceServerException) as refused:
        asking.infer({}, ["out_FP8"])

    sentence = f"the model has no output 'out_FP8'; it has {', '.join(f'out_{kind}' for kind in KINDS)}"
    assert (refused.value.message(), refused.value.status()) in said(sentence, "INVALID_ARGUMENT", 400)


@pytest.mark.parametrize(("model", "version"), [("letters", ""), ("digits", "digits-0000")], ids=["model", "revision"])
def test_an_unknown_model_is_not_found(asking: Asking, model: str, version: str) -> None:
    sentence = f"this server has model digits in revision {REVISION} and no other"

    with pytest.raises(InferenceServerException) as refused:
        asking.client.infer(model, asking.inputs({}), model_version=version)
    with pytest.raises(InferenceServerException) as no_metadata:
        asking.client.get_model_metadata(model, version)

    assert (refused.value.message(), refused.value.status()) in said(sentence, "NOT_FOUND", 404)
    assert (no_metadata.value.message(), no_metadata.value.status()) in said(sentence, "NOT_FOUND", 404)


def test_the_protocols_timeout_ends_a_run(connect: ConnectTo, asked_slowly: Server) -> None:
    asking = connect(asked_slowly)
    times = asking.transport.input("times", "INT64", np.array(10**9))

    with pytest.raises(InferenceServerException) as refused:
        asking.client.infer("digits", [times], timeout=50_000)

    sentence = "the answer wasn't there within 0.05 s, so the run was given up"
    assert (refused.value.message(), refused.value.status()) in said(sentence, "DEADLINE_EXCEEDED", 504)


def test_a_grpc_clients_own_deadline_ends_the_run_too(asked_slowly: Server) -> None:
    with tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{asked_slowly.grpc_port}") as client:
        times = tritonclient.grpc.InferInput("times", [], "INT64")
        times.set_data_from_numpy(np.array(10**9))
        with pytest.raises(InferenceServerException, match=r"Deadline Exceeded|wasn't there within"):
            client.infer("digits", [times], client_timeout=0.2)
        times.set_data_from_numpy(np.array(3))
        answer = client.infer("digits", [times], client_timeout=5).as_numpy("total")

    assert answer.tolist() == [3.0]


def said(sentence: str, code: str, status: int) -> list[tuple[str, str]]:
    """What either client makes of one refusal."""
    return [(sentence, f"StatusCode.{code}"), (sentence, str(status))]


def test_a_blank_request_is_answered(asking: Asking) -> None:
    assert same(asking.infer({}).as_numpy("out_BYTES"), blank("BYTES"))
    assert same(asking.infer({"BOOL": VALUES["BOOL"]}).as_numpy("out_BOOL"), VALUES["BOOL"])
