"""The CRD's defaults once more, for a spec from an API server whose CRD doesn't know a field yet. Pure."""

from collections.abc import Mapping
from typing import Any

COMMON: Mapping[str, Any] = {
    "replicas": 1,
    "paused": False,
    "progressDeadline": "10m",
    "revisionHistoryLimit": 5,
    "rollbackWindow": "24h",
    "server": {
        "auth": {},
        "batching": {"maxDelay": "Auto", "maxRows": 16},
        "resources": {"limits": {"memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "256Mi"}},
        "threads": "Auto",
    },
    "traffic": {"grpc": False, "previewHeader": "x-tidegate-revision", "router": "Builtin", "timeout": "60s"},
    "strategy": {},
    "analysis": {
        "bake": "1m",
        "confidence": {"falsePromotion": "5%", "falseRollback": "1%"},
        "deadline": "1h",
        "dispersion": "Auto",
        "errorRate": {
            "accept": {"absolute": "0.5%", "ratio": "2"},
            "ceiling": "5%",
            "tolerate": {"absolute": "0.1%", "ratio": "1.25"},
        },
        "interval": "5s",
        "latency": {
            "accept": "44%",
            "ceiling": {},
            "negligible": "5ms",
            "onLoadDiffers": "Hold",
            "quantiles": [50, 90, 95, 99],
            "tolerate": "20%",
        },
        "onInconclusive": "Hold",
        "onMetricsUnavailable": "Hold",
        "predictions": {"drift": "5%", "onDrift": "Hold", "scoreDrift": "25%"},
        "queries": [],
        "requestsFrom": "Router",
        "signature": "Refuse",
        "source": "Auto",
    },
}
BLUE_GREEN: Mapping[str, Any] = {"blueGreen": {"keepOld": "5m", "verifyFor": "30s"}}
CANARY: Mapping[str, Any] = {
    "canary": {
        "keepOld": "0s",
        "maxSurge": "100%",
        "steps": [{"weight": weight} for weight in (5, 25, 50)],
    }
}
WHOLE = ("resources",)
"""Objects of the user's that are taken as they are."""


def filled(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """The spec with what it lacks. What is there stays as it is, whatever its shape."""
    strategy = spec.get("strategy")
    is_blue_green = isinstance(strategy, Mapping) and "blueGreen" in strategy
    return _merged({**COMMON, "strategy": BLUE_GREEN if is_blue_green else CANARY}, spec)


def _merged(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**defaults, **given}
    for name, value in given.items():
        default = defaults.get(name)
        if isinstance(default, Mapping) and isinstance(value, Mapping) and name not in WHOLE:
            merged[name] = _merged(default, value)
    return merged
