"""What all that Envoy is told has in common: the types of Envoy's API, and a resource with its version. Pure.

Promise: the same routes and endpoints give the same bytes, in whatever order they come.
"""

import hashlib

from tidegate.router.subscription import Resource

TYPE = "type.googleapis.com/envoy."
CLUSTERS = TYPE + "config.cluster.v3.Cluster"
ENDPOINTS = TYPE + "config.endpoint.v3.ClusterLoadAssignment"
ROUTES = TYPE + "config.route.v3.RouteConfiguration"
SECRETS = TYPE + "extensions.transport_sockets.tls.v3.Secret"
SPLITS = TYPE + "service.runtime.v3.Runtime"


def resource(name: str, body: bytes) -> Resource:
    """An encoded message under its name. Its version is a digest of it."""
    return Resource(name, hashlib.blake2b(body, digest_size=8).hexdigest(), body)
