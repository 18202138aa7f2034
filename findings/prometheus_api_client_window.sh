#!/usr/bin/env bash
# `PrometheusConnect.get_metric_range_data("up")` means "the last ten minutes" only in a process that has just
# started: its default times are taken when the module is imported. A service that has run for a day asks,
# each time and successfully, for the same ten minutes of yesterday; after the retention it gets an empty
# list.
# Matters to operators, exporters and notebooks that stay open: always pass start_time and end_time.
# `get_metric_aggregation` without times isn't affected.
# Seen with prometheus-api-client 0.7.2: two calls 3 seconds apart ask for the same time, the one of the
# import.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work" # no settings of the folder that this is started in
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
"$work/venv/bin/uv" pip install --quiet --python "$work/venv/bin/python" prometheus-api-client==0.7.2
"$work/venv/bin/python" - <<'PY'
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from urllib.parse import parse_qs, urlsplit

from prometheus_api_client import PrometheusConnect

IMPORTED = time.time()
asked = []


class Prometheus(BaseHTTPRequestHandler):
    """Prometheus' HTTP API as far as one query needs it: an empty matrix; what was asked is kept."""

    def do_GET(self):
        asked.append({name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()})
        body = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": []}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = HTTPServer(("127.0.0.1", 0), Prometheus)
threading.Thread(target=server.serve_forever, daemon=True).start()
prometheus = PrometheusConnect(url=f"http://127.0.0.1:{server.server_port}")
print(f"prometheus-api-client {version('prometheus-api-client')}")
called = []
for _ in range(2):
    time.sleep(3)
    called.append(time.time())
    prometheus.get_metric_range_data("up")

ends = [float(query["time"]) for query in asked]
print(f"the query: {asked[0]['query']}")
print(
    f"expected: the window ends when it is asked for, {[f'{at - IMPORTED:.0f} s' for at in called]} after the import"
)
print(f"seen:     it ends {[f'{end - IMPORTED:.0f} s' for end in ends]} after the import")
sys.exit(0 if ends[0] == ends[1] and ends[0] < called[0] - 1 else "changed: the window moves with the time now")
PY
