"""Runs the program that a kubeconfig names for its user's credentials: client.authentication.k8s.io/v1 and v1beta1."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from tidegate.errors import ClusterUnavailable
from tidegate.model.units import parse_instant

GROUP = "client.authentication.k8s.io"
VERSIONS = (f"{GROUP}/v1", f"{GROUP}/v1beta1")
EARLIER = timedelta(seconds=30)
"""A credential is asked for anew so long before its end."""
CLUSTER_FIELDS = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
"""What a plugin is told of the cluster, where it asks to be."""


@dataclass(frozen=True)
class Credential:
    """A token, or a certificate and its key as PEM; good until `ends`, or for as long as nobody refuses it."""

    token: str = field(default="", repr=False)
    certificate: tuple[str, str] | None = field(default=None, repr=False)
    ends: datetime | None = None

    def is_over(self) -> bool:
        """Whether another one is due."""
        now = datetime.now(UTC)  # noqa: TID251 - a credential's own clock
        return self.ends is not None and now >= self.ends - EARLIER


def run_plugin(settings: Mapping[str, Any], cluster: Mapping[str, Any], environ: Mapping[str, str]) -> Credential:
    """What the plugin says. Raises ClusterUnavailable with one sentence, and never with what it printed on stdout."""
    command, version = str(settings.get("command") or ""), settings.get("apiVersion")
    if version not in VERSIONS:
        raise ClusterUnavailable(f"the kubeconfig's plugin {command} wants {version}; known are {', '.join(VERSIONS)}")
    interactive = _is_interactive(settings, command)
    given = {each["name"]: str(each["value"]) for each in settings.get("env") or ()}
    asked = {"KUBERNETES_EXEC_INFO": orjson.dumps(_question(settings, cluster, interactive)).decode()}
    try:
        done = subprocess.run(
            [command, *map(str, settings.get("args") or ())],
            env={**environ, **given, **asked},
            stdin=None if interactive else subprocess.DEVNULL,
            stdout=subprocess.PIPE,  # its stderr is the person's: it may ask for a log-in
            check=False,
        )
    except OSError as error:
        hint = f"; {' '.join(str(settings['installHint']).split())}" if settings.get("installHint") else ""
        raise ClusterUnavailable(f"the kubeconfig's plugin {command} can't run: {error.strerror}{hint}") from error
    if done.returncode != 0:
        raise ClusterUnavailable(f"the kubeconfig's plugin {command} ended with {done.returncode}; are you logged in?")
    return _credential(done.stdout, command, version)


def _is_interactive(settings: Mapping[str, Any], command: str) -> bool:
    mode, terminal = settings.get("interactiveMode") or "IfAvailable", sys.stdin is not None and sys.stdin.isatty()
    if mode == "Always" and not terminal:
        raise ClusterUnavailable(
            f"the kubeconfig's plugin {command} wants to ask you something, and this is no terminal"
        )
    return mode != "Never" and terminal


def _question(settings: Mapping[str, Any], cluster: Mapping[str, Any], interactive: bool) -> dict[str, Any]:
    spec: dict[str, Any] = {"interactive": interactive}
    if settings.get("provideClusterInfo"):
        spec["cluster"] = {name: cluster[name] for name in CLUSTER_FIELDS if cluster.get(name)}
        for extension in cluster.get("extensions") or ():
            if extension.get("name") == f"{GROUP}/exec":
                spec["cluster"]["config"] = extension.get("extension")
    return {"apiVersion": settings["apiVersion"], "kind": "ExecCredential", "spec": spec}


def _credential(said: bytes, command: str, version: str) -> Credential:
    try:
        document = orjson.loads(said)
        status = document["status"]
        ends = status.get("expirationTimestamp")
        found = Credential(
            str(status.get("token") or ""),
            (status["clientCertificateData"], status["clientKeyData"]) if "clientCertificateData" in status else None,
            parse_instant(ends) if ends else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClusterUnavailable(f"the kubeconfig's plugin {command} gave no ExecCredential") from error
    if document.get("apiVersion") != version or not (found.token or found.certificate):
        raise ClusterUnavailable(f"the kubeconfig's plugin {command} gave no token or certificate of {version}")
    return found
