#!/usr/bin/env bash
# One NaN given to a Prometheus histogram in Python makes its _sum NaN for good while its _count doesn't rise:
# averages are gone until the process restarts, and no series tells that something was observed. The Go client
# counts a NaN, so that a _count above the buckets betrays it; so does a Summary in Python. Alerts made for
# one don't work for the other.
# Matters to whoever exports predictions, scores or sizes computed from a model's output.
# Seen with prometheus_client 0.26.0: 0.2, 0.7, NaN, 0.4 give a Histogram's _count 3 and _sum NaN, a Summary's
# _count 4.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work" # no settings of the folder that this is started in
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check prometheus_client==0.26.0
"$work/venv/bin/python" - <<'PY'
import math
import sys
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Histogram, Summary

print(f"prometheus_client {version('prometheus_client')}")
registry = CollectorRegistry()
metrics = {kind: kind(kind.__name__.lower(), "Scores.", registry=registry) for kind in (Histogram, Summary)}
for score in (0.2, 0.7, math.nan):
    for metric in metrics.values():
        metric.observe(score)
for metric in metrics.values():
    metric.observe(0.4)  # what comes later doesn't heal the sum

seen = {
    name: registry.get_sample_value(name, labels)
    for name, labels in [
        ("histogram_count", {}),
        ("histogram_bucket", {"le": "+Inf"}),
        ("histogram_sum", {}),
        ("summary_count", {}),
        ("summary_sum", {}),
    ]
}
print("expected: four observations counted by both, or the NaN left out of sum and count alike")
print(f"seen:     {seen}")
as_described = seen["histogram_count"] == 3 and math.isnan(seen["histogram_sum"]) and seen["summary_count"] == 4
sys.exit(0 if as_described else "changed: a histogram treats NaN otherwise now")
PY
