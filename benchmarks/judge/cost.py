"""What one poll of one rollout costs the operator: its own code, from the HTTP answer to the verdict.

A process of its own answers as Prometheus would, with as many series as a rollout of this size has; only this process'
CPU time is counted, and how often it asked.
"""

import gc
import json
import multiprocessing
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing.connection import Connection
from statistics import median
from time import process_time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from benchmarks.errors import BenchmarkError
from benchmarks.judge.tidegate_defaults import default_spec
from benchmarks.markdown import met
from tidegate.judge.case import Criteria
from tidegate.judge.verdict import answer
from tidegate.metrics.collector import MetricsCollector
from tidegate.metrics.look import Look
from tidegate.metrics.providers.prometheus import PrometheusMetrics
from tidegate.model.evidence import Answer, MetricsGap
from tidegate.model.status import Rollout, Shift
from tidegate.model.traffic import Arms

MOST_MILLISECONDS = 20.0
MOST_QUERIES = 2
POLLS, NOT_COUNTED = 200, 5
ARMS = Arms("shop", "digits", "digits-aaaaaaaa", "digits-bbbbbbbb")
PODS, ROUTERS, CLASSES = 3, 2, 10
"""Pods of each revision."""
SCRAPED_EACH = 5
"""Seconds."""
LATENCY_BOUNDS = tuple(f"{0.0005 * 1.2**k:.6g}" for k in range(56))
SCORES = tuple(f"{0.05 * k:.2g}" for k in range(1, 21))
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
PER_SECOND = {ARMS.stable: 90, ARMS.candidate: 10}


@dataclass(frozen=True)
class Cost:
    """CPU milliseconds of a poll, and queries of a poll."""

    median: float
    most: float
    queries: float
    polls: int

    @property
    def is_good(self) -> bool:
        """Within both limits."""
        return self.most <= MOST_MILLISECONDS and self.queries <= MOST_QUERIES


def cost_of_a_poll(polls: int = POLLS) -> Cost:
    """Polls a rollout at 10 %; the first few, which read what came before, aren't counted. Raises BenchmarkError."""
    spec = default_spec()
    analysis, step = spec.analysis, spec.analysis.interval
    rollout = Rollout(ARMS.candidate, BEGAN, 1, BEGAN, (Shift(BEGAN, 10),))
    spent: list[float] = []
    with _prometheus() as (url, asked):
        collector = MetricsCollector(PrometheusMetrics(url))
        gc.collect()
        gc.freeze()  # as the operator does once it's built
        for number in range(1, polls + NOT_COUNTED + 1):
            if number == NOT_COUNTED + 1:
                before = asked()
            began = process_time()
            criteria, until = Criteria(analysis, 1e-9), BEGAN + number * step
            measured = collector.measure(Look(ARMS, rollout, spec, criteria, step, until))
            if isinstance(measured, MetricsGap):
                raise BenchmarkError(f"a poll's cost can't be told: {measured.message}")
            verdict = answer(measured.test, criteria, measured.measurements)
            spent.append((process_time() - began) * 1000)
        queries = (asked() - before) / polls
    if verdict.answer not in (Answer.NOT_ENOUGH, Answer.ACCEPTABLE):
        raise BenchmarkError(f"a poll's cost can't be told: the judge said {verdict.reason}, {verdict.message}")
    counted = spent[NOT_COUNTED:]
    return Cost(median(counted), max(counted), queries, polls)


def cost_report(cost: Cost) -> str:
    """Markdown."""
    return (
        f"One poll of one rollout with {PODS} pods of each revision, {ROUTERS} routers and {CLASSES} classes: "
        f"{cost.median:.1f} ms CPU in the operator (median of {cost.polls}), {cost.most:.1f} ms at most, "
        f"{cost.queries:g} queries. **{met(cost.is_good)}** (limit {MOST_MILLISECONDS:g} ms, {MOST_QUERIES} queries)."
    )


@contextmanager
def _prometheus() -> Iterator[tuple[str, Any]]:
    """Its URL, and a function that says how often it was asked."""
    mine, theirs = multiprocessing.Pipe()
    asked = multiprocessing.Value("i", 0)
    process = multiprocessing.Process(target=_serve, args=(theirs, asked), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{mine.recv()}", lambda: asked.value
    finally:
        process.terminate()
        process.join()


def _serve(ready: Connection, asked: Any) -> None:
    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            with asked.get_lock():
                asked.value += 1
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            body = json.dumps(_answer(query)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    ready.send(server.server_address[1])
    server.serve_forever()


def _answer(query: dict[str, str]) -> dict[str, Any]:
    window = re.search(r"\[(\d+)s\]$", query["query"])
    end, span = int(float(query["time"])), int(window.group(1)) if window else 0
    instants = [at for at in range(end - span + 1, end + 1) if at % SCRAPED_EACH == 0]
    series = _routers() if "envoy_cluster" in query["query"] else _servers()
    matrix = [
        {
            "metric": metric,
            "values": [[at, f"{max(0.0, at - BEGAN.timestamp() + 3600) * per_second:.0f}"] for at in instants],
        }
        for metric, per_second in series
    ]
    return {"status": "success", "data": {"resultType": "matrix", "result": matrix}}


def _routers() -> Iterator[tuple[dict[str, str], float]]:
    for router in range(ROUTERS):
        for revision, per_second in PER_SECOND.items():
            for suffix in ("", "/preview"):
                labels = {
                    "envoy_cluster_name": f"{ARMS.namespace}/{ARMS.name}/{revision}{suffix}",
                    **_target(f"router-{router}"),
                }
                rate = 0.0 if suffix else per_second / ROUTERS
                yield {"__name__": "envoy_cluster_upstream_rq_completed", **labels}, rate
                failures = {"__name__": "envoy_cluster_upstream_rq_xx", "envoy_response_code_class": "5", **labels}
                yield failures, rate * 0.005


def _servers() -> Iterator[tuple[dict[str, str], float]]:
    for revision, per_second in PER_SECOND.items():
        for pod in range(PODS):
            own = {
                "model_deployment": f"{ARMS.namespace}/{ARMS.name}",
                "revision": revision,
                **_target(f"{revision}-{pod}"),
            }
            rate = per_second / PODS
            for index, bound in enumerate((*LATENCY_BOUNDS, "+Inf")):
                share = min(1.0, index / 40)
                yield {"__name__": "tidegate_server_request_duration_seconds_bucket", "le": bound, **own}, rate * share
            for code in ("429", "500", "501", "503", "504"):
                yield {"__name__": "tidegate_server_requests_total", "code": code, **own}, rate * 0.001
            for number in range(CLASSES):
                yield {"__name__": "tidegate_server_predictions_total", "class": str(number), **own}, rate / CLASSES
            for index, score in enumerate((*SCORES, "+Inf")):
                share = min(1.0, index / 20)
                yield {"__name__": "tidegate_server_prediction_score_bucket", "le": score, **own}, rate * share


def _target(pod: str) -> dict[str, str]:
    """The labels that a scrape of pods gives."""
    return {"job": "pods", "instance": f"198.18.0.1:{len(pod)}", "namespace": ARMS.namespace, "pod": pod}
