"""Revisions become Envoy's clusters, and their pods the endpoints of these. Pure.

Promise: a revision's preview requests are never counted among its live ones.
"""

from collections.abc import Iterable
from functools import lru_cache

from tidegate.model.route_policy import NO_POLICY, RoutePolicy
from tidegate.resources.names import MIRROR_SUFFIX
from tidegate.router import xds_pb2 as pb
from tidegate.router.cluster_key import ClusterKey
from tidegate.router.guards import outlier_detection, thresholds
from tidegate.router.objects import Endpoint
from tidegate.router.subscription import Resource
from tidegate.router.xds import TYPE, resource

HOSTS_KEPT = 16_384
"""Encoded pods that are kept for the next change of their revision."""
COPIES_AT_ONCE = 128
"""Of one revision, in each router, and as many that wait for a connection.

More are answered with 503 by the router, and count as the candidate's failures.
"""


def cluster_resources(key: ClusterKey, policy: RoutePolicy = NO_POLICY) -> tuple[Resource, ...]:
    """The clusters of a revision. Their names never change: Envoy keeps what it counts of them.

    All take their endpoints from one resource.
    """
    return tuple(_cluster(name, key, policy) for name in key.clusters)


def _cluster(name: str, key: ClusterKey, policy: RoutePolicy) -> Resource:
    cluster = pb.Cluster()
    cluster.CopyFrom(_BY_GRPC if key.grpc else _BY_HTTP)
    cluster.name = name
    cluster.eds_cluster_config.service_name = key.assignment
    cluster.circuit_breakers.thresholds.append(_of_copies() if key.suffix == MIRROR_SUFFIX else thresholds(policy))
    if policy.outlier_detection:
        cluster.outlier_detection.CopyFrom(outlier_detection(policy.outlier_detection))
    return resource(name, cluster.SerializeToString(deterministic=True))


def _template(protocol: pb.ExplicitHttpConfig) -> pb.Cluster:
    # No outlier detection unless it is asked for: an unreachable pod is left out by the retry, and LEAST_REQUEST sends
    # little to a pod whose requests hang.
    http = pb.HttpProtocolOptions(
        # Model servers keep an idle connection for 75 s. Envoy gives it up first, so that no request is ever
        # written to a connection that the other side is just closing.
        common_http_protocol_options=pb.CommonHttpProtocolOptions(idle_timeout=pb.Duration(seconds=30)),
        explicit_http_config=protocol,
    )
    source = pb.ConfigSource(
        ads=pb.Empty(),
        initial_fetch_timeout=pb.Duration(),  # none: the agent has an answer for every cluster that it names
        resource_api_version=pb.V3,
    )
    keepalive = pb.TcpKeepalive(keepalive_time=pb.UInt32(value=30), keepalive_interval=pb.UInt32(value=5))
    name = "extensions.upstreams.http.v3.HttpProtocolOptions"
    return pb.Cluster(
        type=pb.EDS,
        eds_cluster_config=pb.EdsClusterConfig(eds_config=source),
        connect_timeout=pb.Duration(seconds=1),
        lb_policy=pb.LEAST_REQUEST,
        upstream_connection_options=pb.UpstreamConnectionOptions(tcp_keepalive=keepalive),
        typed_extension_protocol_options={
            f"envoy.{name}": pb.Any(type_url=TYPE + name, value=http.SerializeToString())
        },
    )


_BY_HTTP = _template(pb.ExplicitHttpConfig(http_protocol_options=pb.Empty()))
# Without TLS: as clients of gRPC that know the server beforehand.
_BY_GRPC = _template(pb.ExplicitHttpConfig(http2_protocol_options=pb.Empty()))


def _of_copies() -> pb.Thresholds:
    """Copies that a candidate can't keep up with are turned away early, so that they take no memory from users'."""
    return pb.Thresholds(
        max_connections=pb.UInt32(value=COPIES_AT_ONCE),
        max_pending_requests=pb.UInt32(value=COPIES_AT_ONCE),
        max_requests=pb.UInt32(value=COPIES_AT_ONCE),
        max_retries=pb.UInt32(value=0),
    )


def endpoints_resource(key: ClusterKey, endpoints: Iterable[Endpoint]) -> Resource:
    """Where a revision's pods answer, by the protocol of the key."""
    found = {(each.address, each.grpc_port if key.grpc else each.port) for each in endpoints}
    # Messages that follow each other are one with the repeated fields of all: each pod is encoded once only.
    locality = pb.LocalityLbEndpoints.FromString(b"".join(_host(*each) for each in sorted(found) if each[1]))
    assignment = pb.ClusterLoadAssignment(
        cluster_name=key.assignment, endpoints=[locality] if locality.lb_endpoints else []
    )
    return resource(assignment.cluster_name, assignment.SerializeToString())


@lru_cache(maxsize=HOSTS_KEPT)
def _host(ip: str, port: int) -> bytes:
    """One pod's part: a locality with that pod alone."""
    address = pb.Address(socket_address=pb.SocketAddress(address=ip, port_value=port))
    host = pb.LbEndpoint(endpoint=pb.Endpoint(address=address))
    return pb.LocalityLbEndpoints(lb_endpoints=[host]).SerializeToString()
