"""An Envoy with one listener, one route and one cluster: what of a router's cost is Envoy's own on this machine."""

from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.envoy import PlainEnvoy, plain_envoy


def bare_envoy(folder: Path, upstream: int, concurrency: int) -> AbstractContextManager[PlainEnvoy]:
    """Before the upstream at that port of this machine, with as many workers as the router. Raises BenchmarkError."""
    does = {"routes": [{"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}]}
    return plain_envoy(folder, "bare", does, {"upstream": upstream}, concurrency=concurrency)
