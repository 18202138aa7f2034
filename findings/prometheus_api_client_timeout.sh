#!/usr/bin/env bash
# A `timeout` of prometheus-api-client isn't the time after which a call ends. With the client's default method, GET,
# a read timeout is tried again three times with pauses between, and what is raised then is a ConnectionError: code
# that catches `requests.Timeout` doesn't see it. With method="POST", which is sent for the same queries, the same
# call ends in time, and as a ReadTimeout.
# Matters to control loops with a budget for each look, and to whoever tells "slow" from "away".
# Seen with prometheus-api-client 0.7.2 and a server that never answers: timeout=1 gives up after 10 s by GET
# (four requests reach the server) and after 1 s by POST (one).
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work" # no settings of the folder that this is started in
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
"$work/venv/bin/uv" pip install --quiet --python "$work/venv/bin/python" prometheus-api-client==0.7.2
"$work/venv/bin/python" - <<'PY'
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import requests
from prometheus_api_client import PrometheusConnect

TIMEOUT = 1
asked = {"GET": 0, "POST": 0}
over = threading.Event()


class SlowPrometheus(BaseHTTPRequestHandler):
    """It takes a query and is busy with it for longer than anybody waits."""

    def do_GET(self):
        asked[self.command] += 1
        over.wait(60)

    do_POST = do_GET

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), SlowPrometheus)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"prometheus-api-client {version('prometheus-api-client')}")
print(f"expected: with timeout={TIMEOUT} each call ends after about {TIMEOUT} s with a requests.Timeout")
seen = {}
for method in asked:
    prometheus = PrometheusConnect(url=f"http://127.0.0.1:{server.server_port}", method=method)
    began = time.monotonic()
    try:
        prometheus.custom_query("up", timeout=TIMEOUT)
    except requests.RequestException as error:
        seen[method] = (time.monotonic() - began, isinstance(error, requests.Timeout))
        kind = type(error).__name__
        print(f"seen:     {method:4} ends after {seen[method][0]:.1f} s, {asked[method]} requests sent, {kind}")
over.set()
surprising = seen["GET"][0] > 5 * TIMEOUT and not seen["GET"][1] and asked["GET"] == 4
as_expected = seen["POST"][0] < 3 * TIMEOUT and seen["POST"][1]
sys.exit(0 if surprising and as_expected else "changed: a timeout is the same by both methods")
PY
