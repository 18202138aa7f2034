#!/usr/bin/env bash
# `prometheus_client` no longer refuses a metric called "http.requests", and beside "http_requests" it writes
# the very same series twice into the default text format, with two values. The registry's check for
# duplicates looks at the names before they are escaped; a reader looks at them after. A scrape that
# negotiates UTF-8 names is right. Matters while libraries move from underscores to OpenTelemetry's dotted
# names: both live in one registry for a while.
# Seen with prometheus_client 0.26.0: http_requests_total is there twice, 1.0 and 5.0; `start_http_server`
# does the same.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work" # no settings of the folder that this is started in
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check prometheus_client==0.26.0
"$work/venv/bin/python" - <<'PY'
import sys
import urllib.request
from collections import Counter as Tally
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, start_http_server
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

print(f"prometheus_client {version('prometheus_client')}")
registry = CollectorRegistry()
Counter("http.requests", "By the new library.", registry=registry).inc(1)
Counter("http_requests", "By the old one.", registry=registry).inc(5)
server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)


def scrape(accept, parse):
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.server_port}/metrics", headers={"Accept": accept}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        families = parse(answer.read().decode())
        return [
            (sample.name, sample.value)
            for family in families
            for sample in family.samples
            if "_created" not in sample.name
        ]


old = scrape("text/plain;version=0.0.4", plain)
new = scrape("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8", openmetrics)
server.shutdown()
print("expected: an error when the second is registered, or two series")
print(f"seen:     {old}")
print(f"          {new} where UTF-8 names are negotiated")
twice = max(Tally(name for name, value in old).values()) == 2
sys.exit(0 if twice and len({name for name, value in new}) == 2 else "changed: the two names no longer meet")
PY
