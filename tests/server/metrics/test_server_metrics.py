"""Names, labels and numbers that others rely on."""

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tidegate_server.metrics import Identity, RunPlan, ServerMetrics, latency_buckets, prediction_plan
from tidegate_server.metrics.server_metrics import CODES
from tidegate_server.metrics.snapshot import merged
from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.training_profile import Feature, TrainingProfile

IDENTITY = Identity("shop/digits", "digits-6f9c1d2e", "ab" * 32)
OWNER = {"model_deployment": "shop/digits", "revision": "digits-6f9c1d2e"}
MODEL = {"model": "digits", "version": "digits-6f9c1d2e"}
PLAN = prediction_plan(Signature((), (TensorSpec("scores", "FP32", ("n", 2)),)), ("cat", "dog"))

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def some_metrics() -> ServerMetrics:
    return ServerMetrics(IDENTITY, PLAN, clock=lambda: 1_700_000_000.0)


def read(metrics: ServerMetrics) -> Series:
    families = text_string_to_metric_families(metrics.exposition().decode())
    found: Series = {}
    for family in families:
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"{key} comes twice"
            found[key] = sample.value
    return found


def of(series: Series, name: str, **labels: str) -> float:
    return series[f"tidegate_server_{name}", frozenset({**OWNER, **labels}.items())]


def alias(series: Series, name: str, **labels: str) -> float:
    return series[f"nv_inference_{name}", frozenset({**MODEL, **labels}.items())]


def ours(series: Series) -> Iterator[tuple[str, frozenset[tuple[str, str]]]]:
    return (key for key in series if not key[0].startswith("process_"))


def scores(*rows: tuple[float, float]) -> dict[str, np.ndarray]:
    return {"scores": np.array(rows, np.float32)}


def test_every_series_is_there_from_the_start_at_zero() -> None:
    metrics = some_metrics()
    before = read(metrics)
    metrics.request_started()
    metrics.request_finished("v2", 200, 0.001, 0.0001)
    metrics.request_finished("grpc", 599, 99.0)
    metrics.request_finished("carrier pigeon", 418, 0.0)
    metrics.batch_ran(100_000_000, [0.0], 0.001, scores((0, 1), (np.nan, 1)))
    metrics.request_failed("queue_full")
    metrics.request_failed("a reason from a request")
    after = read(metrics)
    assert set(ours(before)) == set(ours(after))
    nonzero = {name for name, _ in ours(before) if before[name, _]}
    about_processes = {"processes", "resident_memory_bytes", "cpu_seconds_total"}
    assert nonzero == {"tidegate_server_model_info", *(f"tidegate_server_{name}" for name in about_processes)}


def test_several_processes_count_as_one() -> None:
    one, other, both = some_metrics(), some_metrics(), some_metrics()
    for metrics in (one, both):
        metrics.request_started()
        metrics.request_finished("v2", 200, 0.25, 0.001)
        metrics.batch_ran(2, [0.5], 0.125, scores((1, 0), (0, 1)))
        metrics.request_failed("model")
    for metrics in (other, both):
        metrics.request_started()
        metrics.request_finished("grpc", 429, 0.5)
        metrics.batch_ran(4, [0.25, 0.25], 0.5, scores((1, 0), (0, 1), (0, 1), (0, 1)))
        metrics.request_failed("queue_full")
    found = merged([one.snapshot(), other.snapshot()])
    assert found.processes == 2
    one.merge = lambda own: replace(merged([own, other.snapshot()]), processes=1, resident_bytes=0, cpu_seconds=0.0)
    both.merge = lambda own: replace(own, resident_bytes=0, cpu_seconds=0.0)
    seen, expected = read(one), read(both)
    assert {key: seen[key] for key in ours(seen)} == {key: expected[key] for key in ours(expected)}
    assert one.statistics() == both.statistics()


def test_what_the_judge_reads() -> None:
    metrics = some_metrics()
    for seconds in (0.0005, 0.00051, 3.0):
        metrics.request_finished("predict", 200, seconds)
    series = read(metrics)
    assert of(series, "requests_total", code="200") == 3
    bucket = "request_duration_seconds_bucket"
    assert [of(series, bucket, le=le) for le in ("0.0005", "0.0006", "+Inf")] == [1, 2, 3]
    assert of(series, "request_duration_seconds_count") == 3
    assert of(series, "request_duration_seconds_sum") == pytest.approx(3.00101)
    labels = {frozenset(dict(labels)) for name, labels in series if name == f"tidegate_server_{bucket}"}
    assert labels == {frozenset({"model_deployment", "revision", "le"})}


@pytest.mark.parametrize("traffic", ["preview", "direct"])
def test_what_is_not_live_is_counted_apart(traffic: str) -> None:
    metrics = some_metrics()
    for number, came in enumerate(("", traffic, traffic)):
        metrics.request_started()
        metrics.request_finished("v2", 200 if number < 2 else 500, 0.25, traffic=came)
        metrics.batch_ran(1, [0.0], 0.001, scores((1, 0) if came == "" else (0, 1)), came)
    metrics.batch_ran(2, [0.0, 0.0], 0.001, {})  # a batch of both, counted row by row
    metrics.predicted(1, scores((1, 0)), "")
    metrics.predicted(1, scores((0, 1)), traffic)
    series = read(metrics)
    buckets = "request_duration_seconds"

    assert [of(series, "requests_total", code=code) for code in ("200", "500")] == [1, 0]
    assert [of(series, "requests_total", code=code, traffic=traffic) for code in ("200", "500")] == [1, 1]
    assert (of(series, f"{buckets}_count"), of(series, f"{buckets}_count", traffic=traffic)) == (1, 2)
    assert (of(series, f"{buckets}_sum"), of(series, f"{buckets}_sum", traffic=traffic)) == (0.25, 0.5)
    assert of(series, f"{buckets}_bucket", le="+Inf", traffic=traffic) == 2
    assert [of(series, "predictions_total", **{"class": name}) for name in ("cat", "dog")] == [2, 0]
    assert [of(series, "predictions_total", traffic=traffic, **{"class": name}) for name in ("cat", "dog")] == [0, 3]
    assert (of(series, "prediction_score_count"), of(series, "prediction_score_count", traffic=traffic)) == (2, 3)
    assert of(series, "protocol_requests_total", protocol="v2") == 3
    assert metrics.statistics()["model_stats"][0]["inference_stats"]["success"]["count"] == 2


def test_buckets_are_geometric_up_to_ten_seconds() -> None:
    bounds = latency_buckets()
    assert bounds == tuple(0.0005 * 1.2**k for k in range(-16, 56))
    assert bounds[-2] < 10 <= bounds[-1]


def test_requests_are_in_flight_until_they_are_answered() -> None:
    metrics = some_metrics()
    metrics.request_started()
    metrics.request_started()
    metrics.request_finished("v2", 200, 0.1)
    assert of(read(metrics), "requests_in_flight") == 1


@pytest.mark.parametrize("code", [*map(str, CODES), "other"])
def test_codes_have_series(code: str) -> None:
    metrics = some_metrics()
    metrics.request_finished("v2", 418 if code == "other" else int(code), 0.1)
    assert of(read(metrics), "requests_total", code=code) == 1


def test_a_batch_counts_for_each_of_its_requests() -> None:
    metrics = some_metrics()
    metrics.batch_ran(5, [0.001, 0.003], 0.01, scores(*[(0.2, 0.8)] * 5))
    series = read(metrics)
    phase = "phase_duration_seconds"
    assert of(series, f"{phase}_count", phase="queue") == 2
    assert of(series, f"{phase}_sum", phase="queue") == pytest.approx(0.004)
    assert of(series, f"{phase}_count", phase="run") == 2
    assert of(series, f"{phase}_sum", phase="run") == pytest.approx(0.02)
    assert of(series, f"{phase}_count", phase="encode") == 0
    assert of(series, "run_seconds_total") == pytest.approx(0.01)
    assert (of(series, "rows_total"), of(series, "batches_total")) == (5, 1)
    assert [of(series, "batch_rows_bucket", le=le) for le in ("4.0", "8.0", "+Inf")] == [0, 1, 1]
    assert of(series, "predictions_total", **{"class": "dog"}) == 5
    assert of(series, "prediction_score_bucket", le="0.75") == 0
    assert of(series, "prediction_score_count") == 5


def test_predictions_that_wait_are_counted_at_a_scrape_and_once() -> None:
    metrics = some_metrics()
    for _ in range(1500):
        metrics.batch_ran(1, [0.0], 0.001, scores((1.0, 0.0)))
    for _ in range(2):
        assert of(read(metrics), "predictions_total", **{"class": "cat"}) == 1500


def test_rows_without_a_number_are_counted() -> None:
    metrics = some_metrics()
    metrics.batch_ran(2, [0.0], 0.001, scores((float("nan"), 0), (0, 1)))
    series = read(metrics)
    assert of(series, "not_finite_outputs_total") == 1
    assert of(series, "predictions_total", **{"class": "dog"}) == 1


def test_classes_with_one_name_are_one_series() -> None:
    plan = prediction_plan(Signature((), (TensorSpec("scores", "FP32", ("n", 3)),)), ("cat", "cat", "other"))
    metrics = ServerMetrics(IDENTITY, plan)
    metrics.batch_ran(3, [0.0], 0.001, {"scores": np.eye(3, dtype=np.float32)})
    series = read(metrics)
    assert of(series, "predictions_total", **{"class": "cat"}) == 2
    assert of(series, "predictions_total", **{"class": "other"}) == 1


def test_a_label_with_quotes_and_lines_is_written_well() -> None:
    plan = prediction_plan(Signature((), (TensorSpec("c", "INT64", ("n",)),)), ('a "b"\n\\c',))
    metrics = ServerMetrics(IDENTITY, plan)
    metrics.batch_ran(1, [0.0], 0.001, {"c": np.array([0])})
    assert of(read(metrics), "predictions_total", **{"class": 'a "b"\n\\c'}) == 1


def test_dashboards_made_for_triton_find_their_names() -> None:
    metrics = some_metrics()
    metrics.batch_ran(4, [0.001, 0.002], 0.5, {})
    metrics.request_finished("v2", 200, 0.25)
    metrics.request_finished("grpc", 500, 9.0)
    metrics.request_finished("v2", 429, 0.0)
    series = read(metrics)
    assert alias(series, "request_success") == 1
    reasons = ("REJECTED", "CANCELED", "BACKEND", "OTHER")
    assert [alias(series, "request_failure", reason=reason) for reason in reasons] == [1, 0, 1, 0]
    assert (alias(series, "count"), alias(series, "exec_count")) == (4, 1)
    assert alias(series, "request_duration_us") == 250_000
    assert alias(series, "queue_duration_us") == 3_000
    assert alias(series, "compute_infer_duration_us") == 1_000_000
    assert alias(series, "pending_request_count") == 0


def test_the_plan_and_the_watched_numbers_are_told() -> None:
    metrics = some_metrics()
    metrics.run_plan = RunPlan(threads_per_run=1, runs_at_once=2, max_rows=64, inline=True)
    metrics.callbacks.queue_length = lambda: 7
    metrics.callbacks.log_lines_dropped = lambda: 3
    series = read(metrics)
    names = ("threads_per_run", "runs_at_once", "batch_rows_limit", "runs_inline", "queue_length")
    assert [of(series, name) for name in names] == [1, 2, 64, 1, 7]
    assert of(series, "access_log_lines_dropped_total") == 3


def test_the_process_is_measured_too() -> None:
    assert read(some_metrics())["process_resident_memory_bytes", frozenset()] > 1e6


def test_statistics_are_those_of_the_protocol() -> None:
    metrics = some_metrics()
    metrics.batch_ran(3, [0.001, 0.001], 0.004, {})
    metrics.batch_ran(1, [0.0], 0.002, {})
    metrics.request_finished("v2", 200, 0.25, 0.0001)
    metrics.request_finished("v2", 400, 0.5)
    nothing = {"count": 0, "ns": 0}
    assert metrics.statistics() == {
        "model_stats": [
            {
                "name": "digits",
                "version": "1",
                "last_inference": 1_700_000_000_000,
                "inference_count": 4,
                "execution_count": 2,
                "inference_stats": {
                    "success": {"count": 1, "ns": 250_000_000},
                    "fail": {"count": 1, "ns": 500_000_000},
                    "queue": {"count": 3, "ns": 2_000_000},
                    "compute_input": {"count": 3, "ns": 0},
                    "compute_infer": {"count": 3, "ns": 10_000_000},
                    "compute_output": {"count": 3, "ns": 100_000},
                    "cache_hit": nothing,
                    "cache_miss": nothing,
                },
                "response_stats": {},
                "batch_stats": [
                    _batch(1, 1, 2_000_000),
                    _batch(3, 1, 4_000_000),
                ],
                "memory_usage": [],
            }
        ]
    }


def _batch(size: int, count: int, nanoseconds: int) -> dict[str, object]:
    without = {"count": count, "ns": 0}
    infer = {"count": count, "ns": nanoseconds}
    return {"batch_size": size, "compute_input": without, "compute_infer": infer, "compute_output": without}


def test_nothing_is_lost_between_threads() -> None:
    metrics = some_metrics()
    threads, each = 4, 3000

    def work() -> None:
        for _ in range(each):
            metrics.request_started()
            metrics.batch_ran(1, [0.001], 0.001, scores((1.0, 0.0)))
            metrics.request_finished("grpc", 200, 0.001)

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        workers = [Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        while any(worker.is_alive() for worker in workers):
            metrics.exposition()
    finally:
        sys.setswitchinterval(switch)
    series = read(metrics)
    assert of(series, "requests_total", code="200") == threads * each
    assert of(series, "protocol_requests_total", protocol="grpc") == threads * each
    assert of(series, "request_duration_seconds_count") == threads * each
    assert of(series, "phase_duration_seconds_count", phase="queue") == threads * each
    assert of(series, "predictions_total", **{"class": "cat"}) == threads * each
    assert of(series, "requests_in_flight") == 0


@pytest.mark.parametrize("rows", [1, 512, 513, 2**30])
def test_sizes_of_batches_are_few_however_many_rows_come(rows: int) -> None:
    metrics = some_metrics()
    for more in range(200):
        metrics.batch_ran(rows + more, [0.0], 0.001, {})
    sizes = [each["batch_size"] for each in metrics.statistics()["model_stats"][0]["batch_stats"]]
    assert max(sizes) <= 2**24
    assert len([size for size in sizes if size > 512]) <= 15


def test_the_documentation_names_every_metric_and_no_other() -> None:
    text = (Path(__file__).parents[3] / "docs" / "server-metrics.md").read_text()
    told = set(re.findall(r"^\| `((?:tidegate|nv)_\w+)` \|", text, re.MULTILINE))
    profile = TrainingProfile((Feature("age", "x", 0, (0, 300, 400, 0, 2), edges=(18, 40, 65)),))
    metrics = ServerMetrics(IDENTITY, PLAN, profile)
    metrics.callbacks.tls = lambda: (0, 1.0)
    families = text_string_to_metric_families(metrics.exposition().decode())
    names = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    assert told == {name for name in names if not name.startswith("process_")}
