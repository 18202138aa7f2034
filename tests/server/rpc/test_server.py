"""The server over real connections: statuses, sentences, counts, limits, keys, deadlines and the end."""

import socket
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from tests.server.conftest import until
from tests.server.rpc.conftest import MAX_MESSAGE_BYTES, SERVICE, Client, Doubler, Open, doubled, infer_request
from tidegate_server.access.authenticator import Authenticator
from tidegate_server.errors import BadSetting, DeadlinePassed, InvalidRequest, ModelFailed, NotReady, Overloaded
from tidegate_server.held_bytes import HeldBytes
from tidegate_server.protocol.request import InferRequest
from tidegate_server.protocol.tensors import Outputs
from tidegate_server.rpc import open_inference_pb2 as pb
from tidegate_server.rpc.server import GrpcServer

CODE = grpc.StatusCode
HEALTH = "/grpc.health.v1.Health/Check"


def raising(error: Exception) -> Doubler:
    def fail(_: InferRequest) -> Outputs:
        raise error

    return Doubler(fail)


def test_the_model_answers(opened: Open) -> None:
    model = Doubler()
    client, _ = opened(model)

    assert client.infer(1, 2.5) == [2, 5]
    assert (model.metrics.arrived, model.metrics.answers) == (1, {("grpc", 200): 1})


@pytest.mark.parametrize(
    ("mark", "traffic"),
    [
        pytest.param({}, "", id="by no router"),
        pytest.param({"x_tidegate_traffic": "live"}, "", id="by weight"),
        pytest.param({"x_tidegate_traffic": "preview"}, "preview", id="by the preview header"),
    ],
)
def test_a_call_is_counted_as_it_came(mark: dict[str, Any], traffic: str, opened: Open) -> None:
    model = Doubler()
    client, _ = opened(model)
    client.infer(1, **mark)

    assert (model.metrics.traffic, model.metrics.ran) == ({traffic: 1}, {traffic: 1})


@pytest.mark.parametrize(
    ("error", "code", "http", "sentence"),
    [
        pytest.param(InvalidRequest("no."), CODE.INVALID_ARGUMENT, 400, "no.", id="a bad request"),
        pytest.param(InvalidRequest("big", 413), CODE.RESOURCE_EXHAUSTED, 413, "big", id="too many values"),
        pytest.param(
            Overloaded(3),
            CODE.RESOURCE_EXHAUSTED,
            429,
            "too many requests wait already; try again in 3 s",
            id="overload",
        ),
        pytest.param(
            DeadlinePassed(0.5),
            CODE.DEADLINE_EXCEEDED,
            504,
            "the answer wasn't there within 0.5 s, so the run was given up",
            id="a deadline",
        ),
        pytest.param(NotReady(), CODE.UNAVAILABLE, 503, "the server is ending; ask another one", id="the end"),
        pytest.param(
            ModelFailed("/secret/path"), CODE.INTERNAL, 500, "the model failed on this input", id="a failed run"
        ),
        pytest.param(ValueError("secret"), CODE.INTERNAL, 500, "the server failed on this call", id="our own fault"),
    ],
)
def test_an_error_has_its_status_and_its_sentence(
    opened: Open, error: Exception, code: grpc.StatusCode, http: int, sentence: str
) -> None:
    model = raising(error)
    client, _ = opened(model)

    assert client.refusal(1) == (code, sentence)
    assert (model.metrics.arrived, model.metrics.answers) == (1, {("grpc", http): 1})


def test_overload_says_when_to_come_back(opened: Open) -> None:
    client, _ = opened(raising(Overloaded(3)))

    with pytest.raises(grpc.RpcError) as refused:
        client.infer(1)

    (item,) = refused.value.trailing_metadata()
    assert str(item.value) == "3000"
    assert item.key == "grpc-retry-pushback-ms"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"model_name": "tripler"}, id="another model"),
        pytest.param({"model_version": "r2"}, id="another revision"),
        pytest.param({"model_name": ""}, id="no name"),
    ],
)
def test_an_unknown_model_is_not_found(opened: Open, changes: dict[str, str]) -> None:
    client, _ = opened(Doubler())
    sentence = "this server has model doubler in revision r1 and no other"

    assert client.refusal_of("ModelInfer", infer_request(1, **changes)) == (CODE.NOT_FOUND, sentence)


def test_bytes_that_are_no_message_are_refused(opened: Open) -> None:
    model = Doubler()
    client, _ = opened(model)

    code, sentence = client.refusal_of("ModelInfer", b"\xff\xff\xff")

    assert (code, sentence) == (
        CODE.INVALID_ARGUMENT,
        "the message isn't a ModelInferRequest; is the client's protocol newer?",
    )
    assert (model.metrics.answers, model.metrics.reasons) == ({("grpc", 400): 1}, {"invalid": 1})


def test_a_method_that_does_not_exist_is_unimplemented(opened: Open) -> None:
    client, _ = opened(Doubler(), key="open sesame")

    assert client.refusal_of("ModelTrain", b"")[0] is CODE.UNIMPLEMENTED


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip], ids=["plain", "gzip"])
def test_a_message_over_the_limit_is_refused_however_small_it_travels(
    opened: Open, compression: grpc.Compression
) -> None:
    client, _ = opened(Doubler())
    call = client.channel.unary_unary(SERVICE + "ModelInfer")
    body = infer_request(*[0.0] * (MAX_MESSAGE_BYTES // 4 + 1)).SerializeToString()

    with pytest.raises(grpc.RpcError) as refused:
        call(body, compression=compression, timeout=10)

    assert refused.value.code() is CODE.RESOURCE_EXHAUSTED
    assert client.infer(1) == [2]


def test_a_compressed_message_within_the_limit_is_answered(opened: Open) -> None:
    client, _ = opened(Doubler())

    answer = client.channel.unary_unary(SERVICE + "ModelInfer")(
        infer_request(1, 2).SerializeToString(), compression=grpc.Compression.Gzip, timeout=10
    )

    assert list(pb.ModelInferResponse.FromString(answer).outputs[0].contents.fp32_contents) == [2, 4]


# --- metadata and health


def test_metadata_is_the_same_as_over_http(opened: Open) -> None:
    client, _ = opened(Doubler())

    server = client.call("ServerMetadata", pb.ServerMetadataRequest(), pb.ServerMetadataResponse)
    model = client.call("ModelMetadata", pb.ModelMetadataRequest(name="doubler"), pb.ModelMetadataResponse)

    assert server.name == "tidegate-server"
    assert "statistics" in server.extensions
    tensor = pb.ModelMetadataResponse.TensorMetadata
    assert model == pb.ModelMetadataResponse(
        name="doubler",
        versions=["r1"],
        platform="onnx_onnxv1",
        inputs=[tensor(name="x", datatype="FP32", shape=[-1])],
        outputs=[tensor(name="y", datatype="FP32", shape=[-1])],
        properties={"sha256": "c0ffee"},
    )


def test_metadata_of_an_unknown_model_is_not_found(opened: Open) -> None:
    client, _ = opened(Doubler())

    assert client.refusal_of("ModelMetadata", pb.ModelMetadataRequest(name="tripler"))[0] is CODE.NOT_FOUND


def test_statistics_come_from_the_metrics(opened: Open) -> None:
    client, _ = opened(Doubler())
    client.infer(1)

    for sent in (pb.ModelStatisticsRequest(), pb.ModelStatisticsRequest(name="doubler", version="r1")):
        answer = client.call("ModelStatistics", sent, pb.ModelStatisticsResponse)
        assert [(one.name, one.version, one.inference_count) for one in answer.model_stats] == [("doubler", "r1", 1)]
    assert client.refusal_of("ModelStatistics", pb.ModelStatisticsRequest(name="tripler"))[0] is CODE.NOT_FOUND


def said_of_health(client: Any) -> tuple[bool, bool, bool, int]:
    """Live, ready, model ready, and the standard health service's word."""
    return (
        client.call("ServerLive", pb.ServerLiveRequest(), pb.ServerLiveResponse).live,
        client.call("ServerReady", pb.ServerReadyRequest(), pb.ServerReadyResponse).ready,
        client.call("ModelReady", pb.ModelReadyRequest(name="doubler"), pb.ModelReadyResponse).ready,
        client.call(HEALTH, health_pb2.HealthCheckRequest(), health_pb2.HealthCheckResponse).status,
    )


def test_health_follows_the_server(opened: Open) -> None:
    model = Doubler()
    client, _ = opened(model, key="open sesame")

    assert said_of_health(client) == (True, True, True, health_pb2.HealthCheckResponse.SERVING)
    model.drain()
    assert said_of_health(client) == (True, False, False, health_pb2.HealthCheckResponse.NOT_SERVING)


def test_a_model_that_is_not_there_is_not_ready(opened: Open) -> None:
    client, _ = opened(Doubler())

    assert not client.call("ModelReady", pb.ModelReadyRequest(name="tripler"), pb.ModelReadyResponse).ready


@pytest.mark.parametrize("service", ["inference.GRPCInferenceService", "doubler"])
def test_health_knows_the_service_and_the_model_by_name_and_no_other(opened: Open, service: str) -> None:
    client, _ = opened(Doubler())

    known = client.call(HEALTH, health_pb2.HealthCheckRequest(service=service), health_pb2.HealthCheckResponse)

    assert known.status == health_pb2.HealthCheckResponse.SERVING
    assert client.refusal_of(HEALTH, health_pb2.HealthCheckRequest(service="other"))[0] is CODE.NOT_FOUND


def test_the_repository_has_the_one_model(opened: Open) -> None:
    model = Doubler()
    client, _ = opened(model)

    def index(ready: bool = False) -> list[tuple[str, str, str]]:
        request = pb.RepositoryIndexRequest(ready=ready)
        listed = client.call("RepositoryIndex", request, pb.RepositoryIndexResponse).models
        return [(one.name, one.version, one.state) for one in listed]

    assert index(ready=True) == index() == [("doubler", "r1", "READY")]
    model.drain()
    assert (index(), index(ready=True)) == ([("doubler", "r1", "UNAVAILABLE")], [])


def test_version_1_is_the_one_that_is_served(opened: Open) -> None:
    client, _ = opened(Doubler())

    assert client.call("ModelInfer", infer_request(3, model_version="1"), pb.ModelInferResponse).model_version == "r1"


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_tools_are_told_what_the_services_look_like(opened: Open, version: str) -> None:
    client, _ = opened(Doubler())
    ask = client.channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")
    symbol = "inference.GRPCInferenceService"
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="grpc.health.v1.Health"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="unknown"),
    ]

    answers = ask(iter([one.SerializeToString() for one in asked]), timeout=10)
    services, ours, health, unknown = map(reflection_pb2.ServerReflectionResponse.FromString, answers)

    assert {one.name for one in services.list_services_response.service} == {
        symbol,
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    assert ours.file_descriptor_response.file_descriptor_proto == [pb.DESCRIPTOR.serialized_pb]
    assert health.file_descriptor_response.file_descriptor_proto == [health_pb2.DESCRIPTOR.serialized_pb]
    assert unknown.error_response.error_code == CODE.NOT_FOUND.value[0]


def test_what_is_no_question_about_services_is_refused(opened: Open) -> None:
    client, _ = opened(Doubler())
    ask = client.channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")

    with pytest.raises(grpc.RpcError) as refused:
        list(ask(iter([b"\xff"]), timeout=10))

    assert refused.value.code() is CODE.INVALID_ARGUMENT


# --- keys


@pytest.mark.parametrize(
    "method",
    [
        "ModelInfer",
        "ModelMetadata",
        "ServerMetadata",
        "ModelStatistics",
        "RepositoryIndex",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ],
)
def test_without_a_key_nothing_but_health_is_answered(opened: Open, method: str) -> None:
    client, _ = opened(Doubler(), key="open sesame")

    assert client.refusal_of(method, b"") == (CODE.UNAUTHENTICATED, "send a key")


def test_a_key_opens_the_door_and_another_one_does_not(opened: Open) -> None:
    model = Doubler()
    client, _ = opened(model, key="open sesame")

    assert client.infer(1, x_api_key="open sesame") == [2]
    assert client.refusal(1, x_api_key="open barley") == (
        CODE.PERMISSION_DENIED,
        "the key isn't good for this model",
    )
    assert model.metrics.answers == {("grpc", 200): 1, ("grpc", 403): 1}
    assert model.metrics.reasons == {"not_allowed": 1}


def test_a_stream_without_a_key_is_refused(opened: Open) -> None:
    client, _ = opened(Doubler(), key="open sesame")

    with pytest.raises(grpc.RpcError) as refused:
        next(client.channel.stream_stream(SERVICE + "ModelStreamInfer")(iter([b""]), timeout=10))

    assert refused.value.code() is CODE.UNAUTHENTICATED


# --- deadlines


class Timeouts:
    """Doubles, and keeps how long each request was willing to wait."""

    def __init__(self) -> None:
        self.seen: list[float | None] = []

    def doubled(self, request: InferRequest) -> Outputs:
        self.seen.append(request.timeout_seconds)
        return doubled(request)


@pytest.mark.parametrize(
    ("timeout", "parameter", "most"),
    [
        pytest.param(5.0, None, 5.0, id="the call's"),
        pytest.param(None, 2_000_000, 2.0, id="the request's"),
        pytest.param(5.0, 2_000_000, 2.0, id="the request's when it is sooner"),
        pytest.param(2.0, 5_000_000, 2.0, id="the call's when it is sooner"),
    ],
)
def test_the_nearer_deadline_counts(opened: Open, timeout: float | None, parameter: int | None, most: float) -> None:
    timeouts = Timeouts()
    client, _ = opened(Doubler(timeouts.doubled))
    parameters = {} if parameter is None else {"timeout": pb.InferParameter(int64_param=parameter)}

    client.call("ModelInfer", infer_request(1, parameters=parameters), pb.ModelInferResponse, timeout)

    assert timeouts.seen == [pytest.approx(most, abs=0.9)]


def test_without_a_deadline_the_server_has_its_own(opened: Open) -> None:
    timeouts = Timeouts()
    client, _ = opened(Doubler(timeouts.doubled))

    client.infer(1, timeout=None)

    assert timeouts.seen == [None]


def test_a_call_whose_client_went_away_is_counted_as_such(opened: Open) -> None:
    arrived, go_on = Event(), Event()

    def wait(request: InferRequest) -> Outputs:
        arrived.set()
        assert go_on.wait(10)
        return doubled(request)

    model = Doubler(wait)
    client, _ = opened(model)
    call = client.channel.unary_unary(SERVICE + "ModelInfer").future(infer_request(1).SerializeToString())
    assert arrived.wait(10)
    call.cancel()
    # The server hears of it when it hears anything on the same connection later.
    said_of_health(client)
    go_on.set()

    until(lambda: bool(model.metrics.answers), 10, lambda: "the call was never counted")
    assert model.metrics.answers == {("grpc", 499): 1}


# --- many at once


def test_calls_over_the_limit_are_turned_away_while_health_still_answers(opened: Open) -> None:
    threads = 4
    everybody, go_on = Barrier(threads + 1), Event()

    def wait(request: InferRequest) -> Outputs:
        everybody.wait(10)
        assert go_on.wait(10)
        return doubled(request)

    model = Doubler(wait)
    client, _ = opened(model, threads=threads)
    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(client.infer, number) for number in range(threads)]
        everybody.wait(10)
        refusals = [client.refusal(1) for _ in range(3)]
        health = said_of_health(client)
        go_on.set()
        answers = [one.result(10) for one in waiting]

    assert refusals == [(CODE.RESOURCE_EXHAUSTED, "too many requests wait already; try again in 1 s")] * 3
    assert health == (True, True, True, health_pb2.HealthCheckResponse.SERVING)
    assert answers == [[0], [2], [4], [6]]
    assert model.metrics.reasons == {"queue_full": 3}


def test_calls_that_never_send_their_body_end_and_lock_nobody_out(opened: Open) -> None:
    client, _ = opened(Doubler(), body_seconds=0.2)
    go_on = Event()

    def nothing() -> Any:
        go_on.wait(20)
        yield b""

    silent = [client.channel.stream_unary(SERVICE + "ModelInfer").future(nothing()) for _ in range(100)]
    try:
        assert client.infer(1) == [2]
        codes = {call.exception(timeout=10).code() for call in silent}
    finally:
        go_on.set()

    assert codes == {CODE.CANCELLED}


def test_a_call_without_a_message_is_refused(opened: Open) -> None:
    client, _ = opened(Doubler())

    with pytest.raises(grpc.RpcError) as refused:
        client.channel.stream_unary(SERVICE + "ModelInfer")(iter(()), timeout=10)

    assert (refused.value.code(), refused.value.details()) == (
        CODE.INVALID_ARGUMENT,
        "the call ended without a message",
    )


# --- streams


def stream(client: Any, *bodies: bytes) -> list[pb.ModelStreamInferResponse]:
    replies = client.channel.stream_stream(SERVICE + "ModelStreamInfer")(iter(bodies), timeout=10)
    return [pb.ModelStreamInferResponse.FromString(reply) for reply in replies]


def test_a_stream_answers_each_request_and_goes_on_after_a_bad_one(opened: Open) -> None:
    model = Doubler()
    client, _ = opened(model)

    good, bad, better = stream(
        client,
        infer_request(1, id="a").SerializeToString(),
        infer_request(1, model_name="tripler").SerializeToString(),
        infer_request(2, id="c").SerializeToString(),
    )

    assert (good.infer_response.id, list(good.infer_response.outputs[0].contents.fp32_contents)) == ("a", [2])
    assert good.infer_response.parameters["triton_final_response"].bool_param
    assert bad == pb.ModelStreamInferResponse(error_message="this server has model doubler in revision r1 and no other")
    assert (better.infer_response.id, list(better.infer_response.outputs[0].contents.fp32_contents)) == ("c", [4])
    assert model.metrics.answers == {("grpc", 200): 2, ("grpc", 404): 1}


def test_a_stream_too_many_is_turned_away_and_its_place_is_free_again_later(opened: Open) -> None:
    client, _ = opened(Doubler(), threads=4)
    end = Event()

    def slowly() -> Any:
        yield infer_request(1).SerializeToString()
        end.wait(10)

    first = client.channel.stream_stream(SERVICE + "ModelStreamInfer")(slowly(), timeout=10)
    next(first)
    with pytest.raises(grpc.RpcError) as refused:
        stream(client, infer_request(1).SerializeToString())
    end.set()
    rest = list(first)

    assert (refused.value.code(), rest) == (CODE.RESOURCE_EXHAUSTED, [])
    until(lambda: opens_a_stream(client), 10, lambda: "the place of an ended stream stays taken")


def opens_a_stream(client: Any) -> bool:
    try:
        return len(stream(client, infer_request(1).SerializeToString())) == 1
    except grpc.RpcError:
        return False


# --- the end


def test_while_draining_health_says_so_and_everything_is_still_answered(opened: Open) -> None:
    client, server = opened(Doubler())
    server.begin_drain()

    status = client.call(HEALTH, health_pb2.HealthCheckRequest(), health_pb2.HealthCheckResponse).status

    assert status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert client.infer(1) == [2]


def test_a_stop_waits_for_calls_under_way_and_ends_idle_streams(opened: Open) -> None:
    arrived, go_on = Event(), Event()

    def wait(request: InferRequest) -> Outputs:
        if request.arrays["x"][0] == 7:
            arrived.set()
            assert go_on.wait(10)
        return doubled(request)

    client, server = opened(Doubler(wait), threads=8)
    idle = client.channel.stream_stream(SERVICE + "ModelStreamInfer")(endless(go_on), timeout=20)
    next(idle)
    with ThreadPoolExecutor(2) as pool:
        under_way = pool.submit(client.infer, 7)
        assert arrived.wait(10)
        stopping = pool.submit(server.stop, 10)
        with pytest.raises(grpc.RpcError) as ended:
            next(idle)
        assert not stopping.done()
        go_on.set()
        assert under_way.result(10) == [14]
        stopping.result(10)

    assert ended.value.code() is CODE.CANCELLED
    with pytest.raises(grpc.RpcError):
        client.infer(1, timeout=2)


def test_a_stop_under_load_loses_nobody_who_can_go_elsewhere(opened: Open) -> None:
    going = Doubler()
    _, leaving = opened(going)
    staying = Doubler()
    _, other = opened(staying)
    target = f"ipv4:127.0.0.1:{leaving.port},127.0.0.1:{other.port}"
    options = [("grpc.lb_policy_name", "round_robin"), ("grpc.use_local_subchannel_pool", 1)]
    enough = Event()

    def keep_asking() -> int:
        with grpc.insecure_channel(target, options=options) as channel:
            client = Client(channel)
            sent = 0
            while not enough.is_set():
                assert client.infer(sent) == [2 * sent]
                sent += 1
            return sent

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(keep_asking) for _ in range(4)]
        until(lambda: going.metrics.answers["grpc", 200] > 100, 10, lambda: "no calls arrive")
        leaving.begin_drain()
        leaving.stop(10)
        after = staying.metrics.arrived
        until(lambda: staying.metrics.arrived > after + 100, 10, lambda: "no calls arrive any more")
        enough.set()
        sent = sum(client_run.result(10) for client_run in clients)

    answered = going.metrics.answers + staying.metrics.answers
    assert answered == {("grpc", 200): sent}


def endless(end: Event) -> Any:
    yield infer_request(1).SerializeToString()
    end.wait(10)


def test_a_port_that_is_taken_is_a_bad_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = GrpcServer(
            Doubler(), Authenticator(), "127.0.0.1", port, max_message_bytes=1024, held=HeldBytes(1), threads=1
        )

        with pytest.raises(BadSetting, match=rf"^TIDEGATE_GRPC_PORT: can't listen on 127\.0\.0\.1:{port}; "):
            server.start()
