"""Prometheus as the operator reads it, for a command that is given its address."""

from collections.abc import Mapping
from dataclasses import dataclass

from tidegate.metrics.provider import MetricsProvider
from tidegate.metrics.providers.prometheus import PrometheusMetrics
from tidegate.metrics.providers.prometheus_auth import PrometheusAccess
from tidegate.settings import QuerySettings


@dataclass(frozen=True)
class PrometheusAddress:
    """Where it is, and the folder with what it asks for; '' where it asks for nothing."""

    url: str
    secret: str = ""

    def provider(self, environ: Mapping[str, str]) -> MetricsProvider:
        """With what the operator's variables add to each query. Raises InvalidSpec."""
        access = PrometheusAccess.of(self.secret)
        return PrometheusMetrics(self.url.rstrip("/"), access, QuerySettings.from_env(environ))
