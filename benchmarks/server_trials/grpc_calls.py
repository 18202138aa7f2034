"""Beside the HTTP load: gRPC calls of mixed shapes, right ones and wrong ones, at a modest pace."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from threading import Event, Thread
from typing import Any

import grpc
import numpy as np

from benchmarks.server_trials.server_under_test import NAME
from tidegate_server.rpc import open_inference_pb2 as pb

INFER = "/inference.GRPCInferenceService/ModelInfer"
PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 20.0
WRONG_ONES = 0.1


@dataclass
class CallCounts:
    """By the name of the status."""

    statuses: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


@contextmanager
def calling(port: int) -> Iterator[CallCounts]:
    """Calls in a thread of its own until the block ends."""
    counts, stop = CallCounts(), Event()
    thread = Thread(target=_call, args=(port, counts, stop), daemon=True)
    thread.start()
    try:
        yield counts
    finally:
        stop.set()
        thread.join(PATIENCE_SECONDS)


def infer_stub(channel: grpc.Channel) -> Any:
    """ModelInfer of this channel."""
    serialize = pb.ModelInferRequest.SerializeToString
    return channel.unary_unary(INFER, serialize, pb.ModelInferResponse.FromString)


def infer_request(rows: Any, *, size: int | None = None) -> pb.ModelInferRequest:
    """Of raw content; another `size` than the array's makes it wrong."""
    request = pb.ModelInferRequest(model_name=NAME)
    request.inputs.add(name="x", datatype="FP32", shape=list(rows.shape))
    request.raw_input_contents.append(rows.tobytes()[:size])
    return request


def _call(port: int, counts: CallCounts, stop: Event) -> None:
    random = Random(2)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        ask = infer_stub(channel)
        while not stop.wait(PAUSE_SECONDS):
            rows = np.ones((random.randint(1, 16), random.randint(1, 512)), np.float32)
            is_wrong = random.random() < WRONG_ONES
            right = "INVALID_ARGUMENT" if is_wrong else "OK"
            try:
                ask(infer_request(rows, size=3 if is_wrong else None), timeout=PATIENCE_SECONDS)
                status = "OK"
            except grpc.RpcError as error:
                status = error.code().name
            counts.statuses[status] += 1
            if status not in (right, "RESOURCE_EXHAUSTED"):
                counts.wrong.append(f"gRPC: {status} instead of {right}")
