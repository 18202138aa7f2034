"""The operator's settings, from environment variables, read once."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from tidegate.errors import InvalidSpec

MATCHER = r'\s*[a-zA-Z_][a-zA-Z0-9_]*\s*(?:=~|!~|!=|=)\s*"(?:[^"\\\n]|\\.)*"\s*'
HEADER = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
"""A header's name."""

REFUSED_NETWORKS = (
    "0.0.0.0/8,127.0.0.0/8,169.254.0.0/16,224.0.0.0/4,100.100.100.200/32,168.63.129.16/32,"
    "::/127,fe80::/10,fd00:ec2::254/128,ff00::/8"
)
"""The operator's own pod, link-local addresses, several hosts at once, and where clouds give credentials to whoever
asks."""


@dataclass(frozen=True)
class QuerySettings:
    """What is added to each query of Prometheus, so that one that many share answers with what is meant."""

    matchers: str = ""
    """Label matchers as in PromQL, separated by commas, for every selector of Tidegate's own."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Of the URL."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "QuerySettings":
        """Raises InvalidSpec with a sentence that names the variable."""
        return cls(
            matchers=_matchers(environ, "TIDEGATE_PROMETHEUS_MATCHERS"),
            headers=_texts(environ, "TIDEGATE_PROMETHEUS_HEADERS", HEADER),
            parameters=_texts(environ, "TIDEGATE_PROMETHEUS_PARAMETERS", re.compile(".+")),
        )


@dataclass(frozen=True)
class Settings:
    """The operator's own settings."""

    prometheus_url: str
    prometheus_secret: str
    """Folder with the keys of the Secret that Prometheus asks for; empty where it asks for nothing."""
    prometheus_queries: QuerySettings
    scrape_interval: timedelta
    """Prometheus' scrape interval for routers and model servers: counters may tell of a time this far in the past."""
    server_image: str
    """The model server's image where a ModelDeployment names none."""
    operator_image: str
    """This operator's own, for Jobs that compare answers; empty where nobody has said it."""
    router_service: str
    """DNS name of the router's Service; a ModelDeployment's own Service is an alias of it."""
    namespaces: tuple[str, ...]
    """Namespaces to look after; empty means all."""
    identity: str
    """This process' name in the leader's Lease and in Events; in a cluster the pod's name."""
    namespace: str
    """Where the leader's Lease is."""
    lease: str
    """The Lease's name: one for each release, of which there may be several in one namespace."""
    sampling_secret: str
    """The Secret with the key by which routers are read directly; empty where none is to be."""
    workers: int
    metrics_port: int
    health_port: int
    image_pull_policy: str
    fixed_ids: bool
    """Whether pods of models and of gates state user and groups, or the platform gives them."""
    disruption_budgets: bool
    """Whether each revision has a PodDisruptionBudget."""
    refused_networks: tuple[IPv4Network | IPv6Network, ...]
    """Addresses that neither gates nor notifications are sent to, whatever name leads there."""
    webhooks_proxy: str
    """Through which hosts outside of the cluster are called by gates and notifications; empty for none."""
    webhooks_no_proxy: tuple[str, ...]
    """Ends of the names of hosts that are called without it."""
    notifications: tuple[Mapping[str, Any], ...]
    """Who is told of all models' rollouts, as `spec.notifications` has it."""
    gateway_api: bool
    """Whether routes of the Gateway API are followed and may be written."""
    istio: bool
    """The same of Istio's VirtualServices."""
    config_secret: str
    """The Secret with the key by which the content of Secrets is told; empty where those aren't followed."""

    @property
    def optional_routers(self) -> tuple[str, ...]:
        """The values of `spec.traffic.router` whose routes are followed because somebody asked for that."""
        return (*(("GatewayAPI",) if self.gateway_api else ()), *(("Istio",) if self.istio else ()))

    @property
    def follow_secrets(self) -> bool:
        """Whether the content of Secrets is part of a revision."""
        return bool(self.config_secret)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Reads TIDEGATE_* variables. Raises InvalidSpec with a sentence that names the variable."""
        return cls(
            prometheus_url=_needed(environ, "TIDEGATE_PROMETHEUS_URL").rstrip("/"),
            prometheus_secret=environ.get("TIDEGATE_PROMETHEUS_SECRET", ""),
            prometheus_queries=QuerySettings.from_env(environ),
            scrape_interval=timedelta(seconds=_number(environ, "TIDEGATE_SCRAPE_INTERVAL_SECONDS", 15, least=1)),
            server_image=_needed(environ, "TIDEGATE_SERVER_IMAGE"),
            operator_image=environ.get("TIDEGATE_OPERATOR_IMAGE", ""),
            router_service=environ.get("TIDEGATE_ROUTER_SERVICE", "tidegate-router.tidegate.svc.cluster.local"),
            namespaces=tuple(filter(None, environ.get("TIDEGATE_NAMESPACES", "").split(","))),
            identity=environ.get("TIDEGATE_IDENTITY", "tidegate-operator"),
            namespace=environ.get("TIDEGATE_NAMESPACE", "tidegate"),
            lease=environ.get("TIDEGATE_LEASE", "tidegate-operator"),
            sampling_secret=environ.get("TIDEGATE_SAMPLING_SECRET", ""),
            workers=_number(environ, "TIDEGATE_WORKERS", 8, least=1),
            metrics_port=_number(environ, "TIDEGATE_METRICS_PORT", 9904, least=0),
            health_port=_number(environ, "TIDEGATE_HEALTH_PORT", 9905, least=0),
            image_pull_policy=environ.get("TIDEGATE_IMAGE_PULL_POLICY", "IfNotPresent"),
            fixed_ids=_truth(environ, "TIDEGATE_FIXED_IDS", default=True),
            disruption_budgets=_truth(environ, "TIDEGATE_POD_DISRUPTION_BUDGETS", default=True),
            refused_networks=_networks(environ, "TIDEGATE_WEBHOOKS_REFUSED_NETWORKS", REFUSED_NETWORKS),
            webhooks_proxy=environ.get("TIDEGATE_WEBHOOKS_PROXY", ""),
            webhooks_no_proxy=tuple(
                filter(None, environ.get("TIDEGATE_WEBHOOKS_NO_PROXY", "svc,cluster.local").split(","))
            ),
            notifications=_objects(environ, "TIDEGATE_NOTIFICATIONS"),
            gateway_api=_truth(environ, "TIDEGATE_GATEWAY_API", default=False),
            istio=_truth(environ, "TIDEGATE_ISTIO", default=False),
            config_secret=environ.get("TIDEGATE_CONFIG_SECRET", ""),
        )


def _needed(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "")
    if not value:
        raise InvalidSpec(f"the environment variable {name} is missing")
    return value


def _matchers(environ: Mapping[str, str], name: str) -> str:
    text = environ.get(name, "").strip().rstrip(",")
    if text and not re.fullmatch(f"{MATCHER}(?:,{MATCHER})*", text):
        raise InvalidSpec(
            f"the environment variable {name}, the chart's prometheus.matchers, is {text!r}; it must be label matchers "
            'as in PromQL, such as cluster="a",env!="test"'
        )
    return text


def _texts(environ: Mapping[str, str], name: str, names: re.Pattern[str]) -> dict[str, str]:
    """An object of texts. What they are is told to nobody."""
    try:
        texts = json.loads(environ.get(name) or "{}")
        if all(names.fullmatch(key) and isinstance(value, str) and value.isprintable() for key, value in texts.items()):
            return dict(texts)
    except (ValueError, AttributeError):
        pass  # said below
    raise InvalidSpec(f"the environment variable {name} must be a JSON object of names and texts on one line each")


def _objects(environ: Mapping[str, str], name: str) -> tuple[Mapping[str, Any], ...]:
    """A JSON list of objects. What they are is told to nobody."""
    try:
        found = json.loads(environ.get(name) or "[]")
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise InvalidSpec(f"the environment variable {name} must be a JSON list of objects")
    return tuple(found)


def _networks(environ: Mapping[str, str], name: str, default: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(each.strip()) for each in environ.get(name, default).split(",") if each.strip())
    except ValueError as error:
        raise InvalidSpec(f"the environment variable {name} must be networks separated by commas: {error}") from error


def _truth(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environ.get(name, str(default).lower())
    if text not in ("true", "false"):
        raise InvalidSpec(f"the environment variable {name} is {text!r}; it must be true or false")
    return text == "true"


def _number(environ: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    text = environ.get(name, str(default))
    if not text.isdigit() or int(text) < least:
        raise InvalidSpec(f"the environment variable {name} is {text!r}; it must be a whole number from {least} on")
    return int(text)
