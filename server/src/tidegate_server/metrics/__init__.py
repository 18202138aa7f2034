"""The server's metrics: counted on the hot path, read at a scrape."""

from tidegate_server.metrics.histogram import latency_buckets
from tidegate_server.metrics.inputs import InputCounter
from tidegate_server.metrics.predictions import PredictionPlan, prediction_plan
from tidegate_server.metrics.server_metrics import ServerMetrics
from tidegate_server.metrics.snapshot import Identity, RunPlan

__all__ = [
    "Identity",
    "InputCounter",
    "PredictionPlan",
    "RunPlan",
    "ServerMetrics",
    "latency_buckets",
    "prediction_plan",
]
