"""SIGTERM to a server under gRPC calls: what does an application see, whose channels know a second server that stays?

gRPC's own client does what a router would: a channel is told that its connection ends, and opens another one. Nothing
here asks again, and no retry policy is set.
"""

import os
import signal
from collections import Counter
from threading import Event, Lock, Thread
from time import perf_counter, sleep
from typing import Any

import grpc
import numpy as np

from benchmarks.server_trials.grpc_calls import infer_request, infer_stub
from benchmarks.server_trials.stopping import AFTER_SECONDS, BEFORE_SECONDS, PATIENCE_SECONDS, StopResult, wait_for_end

CHANNELS = 8
CALLS_AT_ONCE = 4
"""On each channel, one after the other in as many threads: some are always under way while others begin."""


def stop_under_calls(port: int, pid: int, other_port: int, width: int) -> StopResult:
    """One round, as `stopping.stop_under`, with every channel at saturation."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.min_reconnect_backoff_ms", 100)]
    target = f"ipv4:127.0.0.1:{port},127.0.0.1:{other_port}"
    result, lock, stop = StopResult(), Lock(), Event()
    request = infer_request(np.ones((1, width), np.float32))
    channels = [grpc.insecure_channel(target, options) for _ in range(CHANNELS)]
    threads = [
        Thread(target=_ask, args=(infer_stub(channel), request, stop, result, lock), daemon=True)
        for channel in channels
        for _ in range(CALLS_AT_ONCE)
    ]
    for thread in threads:
        thread.start()
    sleep(BEFORE_SECONDS)
    os.kill(pid, signal.SIGTERM)
    signalled = perf_counter()
    seconds = wait_for_end(pid, signalled)
    sleep(max(0.0, signalled + AFTER_SECONDS - perf_counter()))
    stop.set()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    for channel in channels:
        channel.close()
    result.killed = int(seconds is None)
    result.exit_seconds = [] if seconds is None else [seconds]
    return result


def _ask(ask: Any, request: Any, stop: Event, result: StopResult, lock: Lock) -> None:
    lost: Counter[str] = Counter()
    answered = 0
    while not stop.is_set():
        try:
            ask(request, timeout=PATIENCE_SECONDS)
            answered += 1
        except grpc.RpcError as error:
            lost[f"{error.code().name}: {error.details()}"] += 1
    with lock:
        result.answered += answered
        result.lost.update(lost)
