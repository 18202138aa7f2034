"""Names that Envoy is given when it starts, and under which the agent then serves it. Pure."""

import zlib

ROUTES_NAME = "tidegate"
WEIGHTS = "w"
"""The keys of weights in Envoy's runtime are this, a dot and the cluster's name."""
GRPC_STATS = "envoy.filters.http.grpc_stats"
"""The filter that counts how calls by gRPC end. It is off where a route doesn't turn it on."""
RATE_LIMIT = "envoy.filters.http.local_ratelimit"
"""The filter that takes so many requests and no more; off in the same way."""
SLICES = "envoy.filters.http.match_delegate"
"""The filter that says in which cell a request is counted; off in the same way."""
CERTIFICATE_NAME = "tidegate-router-tls"
LAYERS = 64
"""Layers of weights in Envoy's runtime."""


def layer_names() -> list[str]:
    """All layers."""
    return [_layer(number) for number in range(LAYERS)]


def layer_of(namespace: str, name: str) -> str:
    """The layer that has a model's weights: the same one always and everywhere."""
    return _layer(zlib.crc32(f"{namespace}/{name}".encode()) % LAYERS)


def _layer(number: int) -> str:
    return f"splits-{number:02}"
