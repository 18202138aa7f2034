"""The server's numbers under their names, for prometheus_client to write. Names and labels are a promise: the judge,
dashboards and alerts read them.
"""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from tidegate_server.metrics.histogram import Histogram
from tidegate_server.metrics.predictions import OTHER, SCORE_BOUNDS, PredictionCounts
from tidegate_server.metrics.snapshot import LIVE, Snapshot, TrafficCounts

BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
_OWNER_LABELS = ["model_deployment", "revision"]
_NVIDIA_REASONS = {"429": "REJECTED", "503": "REJECTED", "504": "CANCELED", "499": "CANCELED", "500": "BACKEND"}


class SnapshotCollector(Collector):
    """Prometheus' view of a snapshot, which is taken at every scrape."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        """`snapshot` takes one."""
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Every family, in the order of the documentation."""
        snapshot = self._snapshot()
        yield from _requests(snapshot)
        yield from _execution(snapshot)
        yield from _predictions(snapshot)
        yield from _inputs(snapshot)
        yield from _process(snapshot)
        yield from _nvidia(snapshot)


def _requests(snapshot: Snapshot) -> Iterator[Metric]:
    requests = _counters(
        "requests", "Answered inference requests, by HTTP status", snapshot, "code", snapshot.live_by_code
    )
    for traffic, counts in _apart(snapshot):
        for code, count in counts.by_code.items():
            labels = {**_owner(snapshot), "code": code, "traffic": traffic}
            requests.add_sample("tidegate_server_requests_total", labels, count)
    yield requests
    by_protocol = {protocol: sum(codes.values()) for protocol, codes in snapshot.responses.items()}
    yield _counters("protocol_requests", "Answered inference requests, by protocol", snapshot, "protocol", by_protocol)
    duration = HistogramMetricFamily(
        "tidegate_server_request_duration_seconds",
        "Time from an inference request's arrival at the application to its answer, failures too",
        labels=_OWNER_LABELS,
    )
    live = snapshot.live_duration
    duration.add_metric(_owner_values(snapshot), _buckets(live), live.total)
    for traffic, counts in _apart(snapshot):
        _add_histogram(duration, {**_owner(snapshot), "traffic": traffic}, counts.duration)
    yield duration
    in_flight = snapshot.started - snapshot.finished
    yield _gauge("requests_in_flight", "Inference requests being answered", snapshot, in_flight)
    yield _counters(
        "failures", "Inference requests without a prediction, by what happened", snapshot, "reason", snapshot.failures
    )


def _execution(snapshot: Snapshot) -> Iterator[Metric]:
    phases = HistogramMetricFamily(
        "tidegate_server_phase_duration_seconds",
        "Where a request's time goes: waiting for a run, in the run with its batch, writing the answer",
        labels=[*_OWNER_LABELS, "phase"],
    )
    for phase, histogram in snapshot.phases.items():
        phases.add_metric([*_owner_values(snapshot), phase], _buckets(histogram), histogram.total)
    yield phases
    yield _counter("rows", "Rows that ran through the model", snapshot, snapshot.rows)
    yield _counter("batches", "Runs of the model", snapshot, snapshot.batches_run)
    yield _counter("run_seconds", "Time in runs of the model; a batch counts once", snapshot, snapshot.run_seconds)
    sizes = HistogramMetricFamily("tidegate_server_batch_rows", "Rows in a run of the model", labels=_OWNER_LABELS)
    sizes.add_metric(_owner_values(snapshot), _buckets(_batch_sizes(snapshot)), snapshot.rows)
    yield sizes
    yield _gauge("queue_length", "Inference requests that wait for a run", snapshot, snapshot.queue_length)


def _predictions(snapshot: Snapshot) -> Iterator[Metric]:
    classes = _classes(snapshot, snapshot.prediction_counts)
    predictions = _counters("predictions", "Predicted rows, by class", snapshot, "class", classes)
    for traffic, counts in _apart(snapshot):
        for name, count in _classes(snapshot, counts.prediction_counts).items():
            labels = {**_owner(snapshot), "class": name, "traffic": traffic}
            predictions.add_sample("tidegate_server_predictions_total", labels, count)
    yield predictions
    scores = HistogramMetricFamily(
        "tidegate_server_prediction_score", "The top score of a row, from 0 to 1", labels=_OWNER_LABELS
    )
    if snapshot.prediction_plan.score_output is not None:
        histogram = _scores(snapshot.prediction_counts)
        scores.add_metric(_owner_values(snapshot), _buckets(histogram), histogram.total)
        for traffic, counts in _apart(snapshot):
            _add_histogram(scores, {**_owner(snapshot), "traffic": traffic}, _scores(counts.prediction_counts))
    yield scores
    not_finite = snapshot.not_finite
    yield _counter("not_finite_outputs", "Rows of an output with NaN or infinity in them", snapshot, not_finite)


def _inputs(snapshot: Snapshot) -> Iterator[Metric]:
    """What was asked, bin by bin, beside the counts of the training."""
    if snapshot.inputs is None:
        return
    labels = [*_OWNER_LABELS, "feature", "bin"]
    asked = CounterMetricFamily(
        "tidegate_server_input_values", "Values of live inputs, one row of each request", labels=labels
    )
    trained = GaugeMetricFamily(
        "tidegate_server_input_training_values", "Values of the training data, by training-profile.json", labels=labels
    )
    profile, by_traffic = snapshot.inputs.profile, snapshot.inputs.by_traffic
    for feature, (begin, end) in zip(profile.features, profile.bounds, strict=True):
        for name, number, count in zip(feature.bins, range(begin, end), feature.counts, strict=True):
            whose = {**_owner(snapshot), "feature": feature.name, "bin": name}
            trained.add_metric([*_owner_values(snapshot), feature.name, name], count)
            asked.add_metric([*_owner_values(snapshot), feature.name, name], by_traffic[LIVE][number])
            for traffic, _ in _apart(snapshot):
                asked.add_sample(f"{asked.name}_total", {**whose, "traffic": traffic}, by_traffic[traffic][number])
    yield asked
    yield trained


def _apart(snapshot: Snapshot) -> Iterator[tuple[str, TrafficCounts]]:
    """What isn't live traffic, where there was any: nobody judges by it, so its series may come later."""
    for traffic, counts in snapshot.apart.items():
        if counts.duration.count:
            yield traffic, counts


def _classes(snapshot: Snapshot, counts: PredictionCounts) -> dict[str, int]:
    names = (*snapshot.prediction_plan.classes, OTHER)
    classes: dict[str, int] = {}
    if len(names) == 1:
        return classes
    # Two classes may bear one name; a series must not come twice.
    for name, count in zip(names, counts.classes, strict=True):
        classes[name] = classes.get(name, 0) + count
    return classes


def _scores(counts: PredictionCounts) -> Histogram:
    histogram = Histogram(SCORE_BOUNDS)
    histogram.counts, histogram.total = [*counts.scores, 0], counts.score_total
    return histogram


def _process(snapshot: Snapshot) -> Iterator[Metric]:
    info = GaugeMetricFamily("tidegate_server_model_info", "Which bytes are served", labels=[*_OWNER_LABELS, "sha256"])
    info.add_metric([*_owner_values(snapshot), snapshot.identity.sha256], 1)
    yield info
    plan = snapshot.run_plan
    yield _gauge(
        "threads_per_run", "Threads in one run of the model, chosen at the start", snapshot, plan.threads_per_run
    )
    yield _gauge("runs_at_once", "Runs of the model side by side, chosen at the start", snapshot, plan.runs_at_once)
    yield _gauge("batch_rows_limit", "Rows in a batch at most, chosen at the start", snapshot, plan.max_rows)
    yield _gauge("runs_inline", "1 when small batches run in the thread that reads requests", snapshot, plan.inline)
    yield _gauge("processes", "Processes that serve, all counted together here", snapshot, snapshot.processes)
    yield _gauge("resident_memory_bytes", "Memory of all these processes", snapshot, snapshot.resident_bytes)
    yield _counter("cpu_seconds", "CPU time of all these processes", snapshot, snapshot.cpu_seconds)
    yield _counter(
        "access_log_lines_dropped", "Access log lines that nobody took in time", snapshot, snapshot.log_lines_dropped
    )
    yield _counter(
        "bodies_logged", "Bodies of requests and answers that the sink took", snapshot, snapshot.bodies_logged
    )
    yield _counter(
        "bodies_not_logged",
        "Those that were dropped: the sink was too slow, or failed",
        snapshot,
        snapshot.bodies_not_logged,
    )
    if snapshot.tls_expires is not None:
        meaning = "When the certificate in use ends, in Unix seconds"
        yield _gauge("tls_certificate_end_timestamp_seconds", meaning, snapshot, snapshot.tls_expires)
        meaning = "Renewed certificates that couldn't be used; the one before stays"
        yield _counter("tls_reload_failures", meaning, snapshot, snapshot.tls_failures)


def _nvidia(snapshot: Snapshot) -> Iterator[Metric]:
    """What dashboards made for Triton show, under the names that they know."""
    yield _alias(snapshot, "nv_inference_request_success", "Inference requests answered well", snapshot.succeeded)
    reasons = dict.fromkeys(("REJECTED", "CANCELED", "BACKEND", "OTHER"), 0)
    for code, count in snapshot.by_code.items():
        if code == OTHER or int(code) >= 400:
            reasons[_NVIDIA_REASONS.get(code, "OTHER")] += count
    failures = CounterMetricFamily(
        "nv_inference_request_failure", "Inference requests that failed", labels=["model", "version", "reason"]
    )
    for reason, count in reasons.items():
        failures.add_metric([snapshot.identity.model_name, snapshot.identity.revision, reason], count)
    yield _without_total(failures)
    yield _alias(snapshot, "nv_inference_count", "Rows that ran", snapshot.rows)
    yield _alias(snapshot, "nv_inference_exec_count", "Runs of the model", snapshot.batches_run)
    durations = (
        ("request", "Time of requests answered well", snapshot.success_seconds),
        ("queue", "Time in the queue", snapshot.phases["queue"].total),
        ("compute_infer", "Time in runs, per request", snapshot.phases["run"].total),
    )
    for name, meaning, seconds in durations:
        yield _alias(snapshot, f"nv_inference_{name}_duration_us", meaning, round(seconds * 1e6))
    pending = GaugeMetricFamily(
        "nv_inference_pending_request_count", "Inference requests that wait for a run", labels=["model", "version"]
    )
    pending.add_metric([snapshot.identity.model_name, snapshot.identity.revision], snapshot.queue_length)
    yield pending


def _alias(snapshot: Snapshot, name: str, meaning: str, value: float) -> Metric:
    family = CounterMetricFamily(name, meaning, labels=["model", "version"])
    family.add_metric([snapshot.identity.model_name, snapshot.identity.revision], value)
    return _without_total(family)


def _without_total(family: CounterMetricFamily) -> Metric:
    """These names are older than the rule that a counter's ends in `_total`: written as untyped, they stay as known."""
    plain = Metric(family.name, family.documentation, "untyped")
    for sample in family.samples:
        plain.add_sample(family.name, sample.labels, sample.value)
    return plain


def _add_histogram(family: Metric, labels: Mapping[str, str], histogram: Histogram) -> None:
    """One more, with labels that the family's others haven't."""
    for bound, count in _buckets(histogram):
        family.add_sample(f"{family.name}_bucket", {**labels, "le": bound}, count)
    family.add_sample(f"{family.name}_count", dict(labels), histogram.count)
    family.add_sample(f"{family.name}_sum", dict(labels), histogram.total)


def _owner(snapshot: Snapshot) -> dict[str, str]:
    return dict(zip(_OWNER_LABELS, _owner_values(snapshot), strict=True))


def _owner_values(snapshot: Snapshot) -> list[str]:
    return [snapshot.identity.model_deployment, snapshot.identity.revision]


def _gauge(name: str, meaning: str, snapshot: Snapshot, value: float) -> Metric:
    family = GaugeMetricFamily(f"tidegate_server_{name}", meaning, labels=_OWNER_LABELS)
    family.add_metric(_owner_values(snapshot), value)
    return family


def _counter(name: str, meaning: str, snapshot: Snapshot, value: float) -> Metric:
    family = CounterMetricFamily(f"tidegate_server_{name}", meaning, labels=_OWNER_LABELS)
    family.add_metric(_owner_values(snapshot), value)
    return family


def _counters(name: str, meaning: str, snapshot: Snapshot, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(f"tidegate_server_{name}", meaning, labels=[*_OWNER_LABELS, label])
    for value, count in values.items():
        family.add_metric([*_owner_values(snapshot), value], count)
    return family


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Cumulative, by the upper bound's text."""
    buckets: list[tuple[str, float]] = []
    sofar = 0
    for bound, count in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        sofar += count
        buckets.append((_bound(bound), sofar))
    return buckets


def _bound(bound: float) -> str:
    return str(floatToGoString(bound))  # type: ignore[no-untyped-call]


def _batch_sizes(snapshot: Snapshot) -> Histogram:
    histogram = Histogram(BATCH_BOUNDS)
    for size, (count, _) in snapshot.batches.items():
        histogram.observe(size, count)
    return histogram
