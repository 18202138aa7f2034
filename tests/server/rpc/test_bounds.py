"""What calls may hold: bytes that arrive, wait and aren't taken in; and streams whose key is taken away."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import monotonic
from typing import Any

import grpc
import numpy as np
import pytest

from tests.server.conftest import until
from tests.server.rpc.conftest import (
    MAX_MESSAGE_BYTES,
    SERVICE,
    Doubler,
    OneKey,
    Open,
    connected,
    doubled,
    infer_request,
)
from tidegate_server.held_bytes import HeldBytes
from tidegate_server.protocol.request import InferRequest
from tidegate_server.protocol.tensors import Outputs

CODE = grpc.StatusCode
LARGE_ANSWER = 6_000_000
"""Values; more bytes than a client takes in without being asked for."""


def growing(request: InferRequest) -> Outputs:
    return {"y": np.zeros(LARGE_ANSWER, np.float32)} if request.arrays["x"][0] else doubled(request)


def nothing(end: Event) -> Any:
    end.wait(20)
    yield b""


def test_a_stream_ends_when_its_key_is_taken_away(opened: Open) -> None:
    door = OneKey("open sesame")
    client, _ = opened(Doubler(), key=door)
    first_answered, end = Event(), Event()

    def two() -> Any:
        yield infer_request(1).SerializeToString()
        first_answered.wait(10)
        yield infer_request(2).SerializeToString()
        end.wait(10)

    replies = client.channel.stream_stream(SERVICE + "ModelStreamInfer")(
        two(), timeout=10, metadata=(("x-api-key", "open sesame"),)
    )
    next(replies)
    door.key = "another"
    first_answered.set()
    with pytest.raises(grpc.RpcError) as refused:
        next(replies)
    end.set()
    assert refused.value.code() is CODE.PERMISSION_DENIED


def test_messages_count_until_they_are_answered_and_one_too_many_is_told_when_to_come_back(opened: Open) -> None:
    go_on = Event()

    def waiting(request: InferRequest) -> Outputs:
        go_on.wait(20)
        return {"y": request.arrays["x"][:1]}

    held = HeldBytes(2 * MAX_MESSAGE_BYTES)
    client, _ = opened(Doubler(waiting), held=held)
    values = [1.0] * 15_000
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(client.infer, *values) for _ in range(2)]
        until(lambda: held.held > 90_000, 5, lambda: str(held.held))
        assert client.refusal(*values) == (
            CODE.RESOURCE_EXHAUSTED,
            "too many bytes of requests and answers are held at once; try again in 1 s",
        )
        go_on.set()
        assert [call.result(10) for call in calls] == [[1.0]] * 2
    until(lambda: held.held == 0, 5, lambda: str(held.held))


def test_who_sends_nothing_gives_way_to_who_waits_to_be_read(opened: Open) -> None:
    client, _ = opened(Doubler(), held=HeldBytes(2 * MAX_MESSAGE_BYTES))
    end = Event()
    silent = [client.channel.stream_unary(SERVICE + "ModelInfer").future(nothing(end)) for _ in range(2)]
    try:
        began = monotonic()
        for value in (1, 2):
            assert client.infer(value) == [2 * value]
        assert monotonic() - began < 5
    finally:
        end.set()
        for call in silent:
            call.cancel()


@pytest.mark.parametrize("method", ["ModelInfer", "ModelStreamInfer"])
def test_an_answer_that_is_not_taken_in_is_held_for_a_while_only(opened: Open, method: str) -> None:
    held = HeldBytes(2**26)
    _, server = opened(Doubler(growing), body_seconds=0.5, held=held)
    end = Event()

    def once() -> Any:
        yield infer_request(1).SerializeToString()
        end.wait(10)

    request: Any = infer_request(1).SerializeToString()
    with connected(server.port) as channel:
        # It reads when it is asked to, and never is.
        if method == "ModelInfer":
            call: Any = channel.unary_stream(SERVICE + method)(request)
        else:
            call = channel.stream_stream(SERVICE + method)(once())
        until(lambda: held.held > LARGE_ANSWER, 5, lambda: "it was never held")
        until(lambda: held.held == 0, 5, lambda: "it is held for ever")
        end.set()
        call.cancel()
