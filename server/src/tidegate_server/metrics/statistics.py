"""The protocol's statistics extension: the same numbers for clients such as perf_analyzer. Pure.

Times are in nanoseconds. Reading a request isn't measured apart from its whole, so `compute_input` has a count and no
time; `compute_output` is the encoding of the response. perf_analyzer wants all three to be counted equally often.
"""

from typing import Any

from tidegate_server.metrics.histogram import Histogram
from tidegate_server.metrics.snapshot import Snapshot

VERSION = "1"
"""perf_analyzer reads it as a number, and a revision's name isn't one. A server has one version of its model."""


def statistics(snapshot: Snapshot) -> dict[str, Any]:
    """The document for one model."""
    run, queue, encode = snapshot.phases["run"], snapshot.phases["queue"], snapshot.phases["encode"]
    failed, failed_seconds = snapshot.finished - snapshot.succeeded, snapshot.duration.total - snapshot.success_seconds
    model = {
        "name": snapshot.identity.model_name,
        "version": VERSION,
        "last_inference": round(snapshot.last_run * 1000),
        "inference_count": snapshot.rows,
        "execution_count": snapshot.batches_run,
        "inference_stats": {
            "success": _duration(snapshot.succeeded, snapshot.success_seconds),
            "fail": _duration(failed, failed_seconds),
            "queue": _of(queue),
            "compute_input": _duration(run.count, 0),
            "compute_infer": _of(run),
            "compute_output": _duration(run.count, encode.total),
            "cache_hit": _duration(0, 0),
            "cache_miss": _duration(0, 0),
        },
        "response_stats": {},
        "batch_stats": [
            {
                "batch_size": size,
                "compute_input": _duration(count, 0),
                "compute_infer": _duration(count, seconds),
                "compute_output": _duration(count, 0),
            }
            for size, (count, seconds) in snapshot.batches.items()
        ],
        "memory_usage": [],
    }
    return {"model_stats": [model]}


def _of(histogram: Histogram) -> dict[str, int]:
    return _duration(histogram.count, histogram.total)


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": max(0, round(seconds * 1e9))}
